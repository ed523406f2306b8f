"""Texts that a run's model writes."""

import math
from collections.abc import Iterator
from itertools import chain

from assay.errors import UserError, refuse_outside
from assay.experiment.load import load_model
from assay.generation.decode import pieces, stream, texts
from assay.generation.sampling import Sampling
from assay.runs.directory import RunDirectory

RANGES = (("temperature", 0, math.inf), ("top_k", 1, math.inf), ("top_p", 1e-9, 1), ("min_p", 0, 1))  # of what shapes a draw


class Writer:
    """A run's model with a way of drawing: temperature, top_k, top_p, min_p."""

    def __init__(
        self, run: RunDirectory, drawing: tuple[float, int | None, float | None, float | None], checkpoint: str | int, device: str | None
    ) -> None:
        self.sampling = Sampling(*drawing)
        for name, least, most in RANGES:
            refuse_outside(name, getattr(self.sampling, name), least, most)
        self.model, self.tokenizer = load_model(run.path, checkpoint=checkpoint, device=device)

    def write(self, prompt: str | bytes, count: int, seed: int, tokens: int) -> list[str]:
        """`count` texts, each with the prompt it begins with and at most so many new tokens. Raises UserError for a prompt too long."""
        refuse_outside("count", count, 1)
        refuse_outside("tokens", tokens, 1)
        start = self._start(prompt)
        steps = stream(self.model, start, count, tokens, self.sampling, seed, end=self.tokenizer.end)
        return [self._spell(start) + text for text, _ in texts(steps, self.tokenizer.decode, self.tokenizer.end)]

    def stream(self, prompt: str | bytes, seed: int, tokens: int) -> Iterator[str]:
        """The first of these texts, in pieces as they are drawn."""
        refuse_outside("tokens", tokens, 1)
        start = self._start(prompt)
        steps = stream(self.model, start, 1, tokens, self.sampling, seed, end=self.tokenizer.end)
        return chain([self._spell(start)], pieces(steps, self.tokenizer.decode, self.tokenizer.end))

    def _start(self, prompt: str | bytes) -> list[int]:
        if not isinstance(prompt, str | bytes):
            raise UserError(f"prompt: {prompt!r} is no text; give a str or bytes, or leave it out")
        raw = prompt.encode("utf-8", errors="surrogateescape") if isinstance(prompt, str) else prompt
        ids: list[int] = self.tokenizer.encode([raw])[0].tolist()
        return ids

    def _spell(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids).decode("utf-8", errors="replace")
