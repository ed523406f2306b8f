"""Texts that a run's model writes."""

from collections.abc import Iterator
from itertools import chain

from assay.experiment.load import load_model
from assay.generation.decode import pieces, stream, texts
from assay.generation.sampling import Sampling
from assay.runs.directory import RunDirectory


class Writer:
    """A run's model with a way of drawing: temperature, top_k, top_p, min_p."""

    def __init__(
        self, run: RunDirectory, drawing: tuple[float, int | None, float | None, float | None], checkpoint: str, device: str | None
    ) -> None:
        self.sampling = Sampling(*drawing)
        self.model, self.tokenizer = load_model(run.path, checkpoint=checkpoint, device=device)

    def write(self, prompt: str, count: int, seed: int, tokens: int) -> list[str]:
        """`count` texts, each with the prompt it begins with and at most so many new tokens. Raises UserError for a prompt too long."""
        start = self._start(prompt)
        steps = stream(self.model, start, count, tokens, self.sampling, seed, end=self.tokenizer.end)
        return [self._spell(start) + text for text, _ in texts(steps, self.tokenizer.decode, self.tokenizer.end)]

    def stream(self, prompt: str, seed: int, tokens: int) -> Iterator[str]:
        """The first of these texts, in pieces as they are drawn."""
        start = self._start(prompt)
        steps = stream(self.model, start, 1, tokens, self.sampling, seed, end=self.tokenizer.end)
        return chain([self._spell(start)], pieces(steps, self.tokenizer.decode, self.tokenizer.end))

    def _start(self, prompt: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode([prompt.encode("utf-8", errors="surrogateescape")])[0].tolist()
        return ids

    def _spell(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids).decode("utf-8", errors="replace")
