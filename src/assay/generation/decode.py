"""Generate text through the model's state: each token is read once, many texts at a time."""

import codecs
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from assay.core.devices import to_float64
from assay.core.seeds import torch_generator
from assay.errors import UserError, check_range
from assay.models.base import Model, evaluation_mode
from assay.text.tokenizer import Tokenizer

SAMPLING_RANGES = {"temperature": (0, math.inf), "top_k": (1, math.inf), "top_p": (1e-9, 1), "min_p": (0, 1)}


class Sampling(NamedTuple):
    """Settings of how the next token is drawn. Filters apply to the probabilities after the temperature, in the order of the fields.

    top_k keeps the k likeliest; top_p the smallest set whose mass reaches p (Holtzman et al., arXiv 1904.09751); min_p what has at least p
    times the likeliest one's probability (arXiv 2407.01082). Temperature 0 takes the likeliest token.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def check(self) -> "Sampling":
        """Raise UserError for a value out of its range; return itself."""
        for name, (least, most) in SAMPLING_RANGES.items():
            check_range(name, getattr(self, name), least, most)
        return self

    def probabilities(self, logits: Tensor) -> Tensor:
        """Compute the distribution that is drawn from, [..., V], from logits [..., V]."""
        if self.temperature == 0:
            return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        p = (logits / self.temperature).softmax(-1)
        if self.top_k is not None and self.top_k < p.shape[-1]:
            p = p * (p >= p.topk(self.top_k, dim=-1).values[..., -1:])
        if self.top_p is not None:
            ordered, order = (p / p.sum(-1, keepdim=True)).sort(dim=-1, descending=True)
            before = ordered.cumsum(-1) - ordered  # mass of the likelier ones
            p = torch.zeros_like(p).scatter(-1, order, ordered * (before < self.top_p))
        if self.min_p is not None:
            p = p * (p >= self.min_p * p.amax(-1, keepdim=True))
        return p / p.sum(-1, keepdim=True)

    def sample(self, logits: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw tokens [B] from logits [B, V] by inverting the cumulative distribution: one uniform number from each row's generator."""
        mass = self.probabilities(to_float64(logits)).cumsum(-1)
        uniform = torch.stack([torch.rand(1, dtype=torch.float64, generator=generator) for generator in generators])
        return (mass <= uniform.to(mass.device) * mass[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1).to(logits.device)


@torch.inference_mode()
def generate(model: Model, prompt: Sequence[int], count: int, limit: int, sampling: Sampling, seed: int, *, end: int) -> Iterator[Tensor]:
    """Continue `prompt` `count` times, yielding the new tokens [count] of each step; a text that has ended goes on yielding `end`.

    Every text begins with the end token, as in training. Stops when all have ended, or after `limit` tokens. The text may not become
    longer than the model can read. `seed` and its number decide what a text draws, however many texts are generated at once.
    """
    device = next(model.parameters()).device
    generators = [torch_generator(seed, "sampling", row) for row in range(count)]
    tokens = torch.tensor([[end, *prompt]], device=device).expand(count, -1)
    if model.max_length is not None:
        limit = min(limit, model.max_length - tokens.shape[1] + 1)
        if limit < 1:
            raise UserError(f"the prompt has {len(prompt)} tokens and the model reads at most {model.max_length - 1}; shorten it")
    state = model.init_state(count)
    done = torch.zeros(count, dtype=torch.bool, device=device)
    with evaluation_mode(model):
        for _ in range(limit):
            output = model(tokens, state)
            state = output.state
            drawn = sampling.sample(output.readout(output.hidden[:, -1]), generators)
            drawn = torch.where(done, end, drawn)
            done = done | (drawn == end)
            yield drawn
            if bool(done.all()):
                return
            tokens = drawn.unsqueeze(1)


def stream_text(steps: Iterator[Tensor], decode: Callable[[Sequence[int]], bytes], end: int) -> Iterator[str]:
    """Yield the first text while it is being generated; bytes wait until they complete a character."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for step in steps:
        token = int(step[0])
        if token == end:
            break
        if piece := decoder.decode(decode([token])):
            yield piece
    if rest := decoder.decode(b"", final=True):
        yield rest


def decode_texts(steps: Iterator[Tensor], decode: Callable[[Sequence[int]], bytes], end: int) -> list[tuple[str, bool]]:
    """Decode generated texts, each with whether it ended by itself; undecodable bytes are shown as U+FFFD."""
    columns = torch.stack(list(steps), dim=1).tolist()
    cut = [row[: row.index(end)] if end in row else row for row in columns]
    return [(decode(text).decode("utf-8", errors="replace"), end in row) for text, row in zip(cut, columns, strict=True)]


class TextGenerator:
    """Generates texts after a prompt. Raises UserError for a sampling option out of its range."""

    def __init__(self, model: Model, tokenizer: Tokenizer, sampling: Sampling) -> None:
        self.model, self.tokenizer, self.sampling = model, tokenizer, sampling.check()

    def generate(self, prompt: str | bytes, count: int, seed: int, tokens: int) -> list[str]:
        """Generate `count` texts, each the prompt and at most so many new tokens. Raises UserError for a prompt too long."""
        spelled, steps = self._start(prompt, count, seed, tokens)
        return [spelled + text for text, _ in decode_texts(steps, self.tokenizer.decode, self.tokenizer.end_id)]

    def stream(self, prompt: str | bytes, seed: int, tokens: int) -> Iterator[str]:
        """Generate the first of these texts, in pieces as they are drawn."""
        spelled, steps = self._start(prompt, 1, seed, tokens)
        return chain([spelled], stream_text(steps, self.tokenizer.decode, self.tokenizer.end_id))

    def _start(self, prompt: str | bytes, count: int, seed: int, tokens: int) -> tuple[str, Iterator[Tensor]]:
        """Return the prompt as the tokenizer spells it, and the tokens that follow it."""
        check_range("count", count, 1)
        check_range("tokens", tokens, 1)
        if not isinstance(prompt, str | bytes):
            raise UserError(f"prompt: {prompt!r} is no text; give a str or bytes, or leave it out")
        raw = prompt.encode("utf-8", errors="surrogateescape") if isinstance(prompt, str) else prompt
        ids: list[int] = self.tokenizer.encode([raw])[0].tolist()
        steps = generate(self.model, ids, count, tokens, self.sampling, seed, end=self.tokenizer.end_id)
        return self.tokenizer.decode(ids).decode("utf-8", errors="replace"), steps
