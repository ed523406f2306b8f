"""Generate tokens through the model's state: each token is read once, many texts at a time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from assay.core.devices import to_float64
from assay.core.seeds import torch_generator
from assay.core.torch_internals import tree_map
from assay.core.types import Output, State
from assay.errors import NonFiniteLoss, UserError, check_range
from assay.models.base import Model, evaluation_mode
from assay.text.cover import Branch, Cover, cover_tokens

NO_TOKEN = -1  # of a text that the model has no more positions for
READOUT = 256  # positions whose logits are held at once
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
        p = ((logits - logits.amax(-1, keepdim=True)) / self.temperature).softmax(-1)  # nothing overflows, however low the temperature
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
        """Draw tokens [B] from logits [B, V] by inverting the cumulative distribution: one uniform number from each row's generator.

        Raises NonFiniteLoss for logits that are no distribution.
        """
        if not bool(logits.amax(-1).isfinite().all()):
            raise NonFiniteLoss("the model's logits are NaN or infinite, so nothing can be drawn from them: its weights are broken")
        mass = self.probabilities(to_float64(logits)).cumsum(-1)
        uniform = torch.stack([torch.rand(1, dtype=torch.float64, generator=generator) for generator in generators])
        return (mass <= uniform.to(mass.device) * mass[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1).to(logits.device)


class Generation:
    """Texts that continue one prompt, and how each begins: with a member of the prompt's cover.

    Every text begins with the end token, as in training. The law at temperature 1: a text begins with member c of the cover with
    probability P(c) / (sum of P over the cover), P the model's, and goes on token by token as without a prompt. So the next byte has the
    probability that the model gives to the encodings of texts with the prompt and that byte, among those with the prompt. The settings
    of sampling apply to the members as to tokens, the logarithms of their probabilities in the place of logits.

    `seed` and its number decide what a text draws, however many are generated at once. Members that the model has no positions for are
    left out; raises UserError where it can read none, and NonFiniteLoss where its logits are no distribution.
    """

    def __init__(self, model: Model, cover: Cover, count: int, sampling: Sampling, seed: int, *, end: int) -> None:
        self.model, self.sampling, self.end = model, sampling, end
        self._device = next(model.parameters()).device
        self._generators = [torch_generator(seed, "sampling", row) for row in range(count)]
        self.branches: list[Branch]  # of each text
        with torch.inference_mode(), evaluation_mode(model):
            self._begin(cover, count)

    @torch.inference_mode()
    def steps(self, limit: int) -> Iterator[Tensor]:
        """Yield the next tokens [count] of all texts, at most `limit` times; no more when every text has stopped.

        The first tokens are the last ones of the members. A text that has ended goes on yielding the end token, and one that has come to
        the model's last position `NO_TOKEN`.
        """
        drawn = self._first
        with evaluation_mode(self.model):
            for step in range(limit):
                yield drawn
                if step == limit - 1 or bool(((drawn == self.end) | (drawn == NO_TOKEN)).all()):
                    return
                drawn = self._draw_next(drawn)

    def _begin(self, cover: Cover, count: int) -> None:
        """Read the prompt, and draw the member with which each text begins."""
        longest = math.inf if self.model.max_length is None else self.model.max_length - 1  # tokens after the end token
        room = longest - len(cover.settled)
        branches = [branch for branch in cover.branches if len(branch.ids) <= room]
        if not branches:
            shortest = len(cover.settled) + min(len(branch.ids) for branch in cover.branches)
            raise UserError(f"the prompt has {shortest} tokens and the model reads at most {longest}; shorten it")
        free = branches[0].following is None  # whatever is drawn
        settled = self._read([self.end, *cover.settled], self.model.init_state(count if free else 1), count if free else 1)
        if free:
            self.branches = branches * count
            self._first = self._draw(settled.readout(settled.hidden[:, -1]), range(count))
            self._groups = [_Group(list(range(count)), settled.state, room)]
            return
        scores, states = zip(*(self._read_branch(branch, settled) for branch in branches), strict=True)
        self.members = [(place, token) for place, branch in enumerate(branches) for token in branch.following or ()]
        self.log_probabilities = torch.cat(scores)
        drawn = [self.members[index] for index in self._draw(self.log_probabilities.expand(count, -1), range(count)).tolist()]
        self.branches = [branches[place] for place, _ in drawn]
        self._first = torch.tensor([token for _, token in drawn], device=self._device)
        self._groups = []
        for place in sorted({place for place, _ in drawn}):
            rows = [row for row, (own, _) in enumerate(drawn) if own == place]
            self._groups.append(_Group(rows, _repeat_rows(states[place], len(rows)), room - len(branches[place].ids)))

    def _read(self, tokens: Sequence[int], state: State, rows: int = 1) -> Output:
        output: Output = self.model(torch.tensor([tokens], device=self._device).expand(rows, -1), state)
        return output

    def _read_branch(self, branch: Branch, settled: Output) -> tuple[Tensor, State]:
        """Read a branch's ids after the settled tokens: the log probabilities of its members in float64, and the state."""
        output = self._read(branch.ids, settled.state) if branch.ids else settled
        hidden = torch.cat([settled.hidden[:, -1:], output.hidden], dim=1)[0] if branch.ids else settled.hidden[0, -1:]
        total = 0.0
        for start in range(0, len(branch.ids), READOUT):
            ids = torch.tensor(branch.ids[start : start + READOUT])
            predicted = to_float64(output.readout(hidden[start : start + len(ids)])).cpu().log_softmax(-1)
            total += float(predicted.gather(-1, ids.unsqueeze(-1)).sum())
        last = to_float64(output.readout(hidden[-1])).cpu().log_softmax(-1)
        return total + last[torch.tensor(branch.following)], output.state

    def _draw(self, logits: Tensor, rows: Sequence[int]) -> Tensor:
        return self.sampling.sample(logits, [self._generators[row] for row in rows])

    def _draw_next(self, drawn: Tensor) -> Tensor:
        """Read the tokens that were drawn, and draw the next ones."""
        following = torch.full_like(drawn, NO_TOKEN)
        for group in self._groups:
            rows = torch.tensor(group.rows, device=self._device)
            ended = drawn[rows] == self.end
            if group.room <= 0:
                following[rows] = torch.where(ended, self.end, NO_TOKEN)
                continue
            output = self.model(drawn[rows].unsqueeze(1), group.state)
            group.keep(output.state)
            following[rows] = torch.where(ended, self.end, self._draw(output.readout(output.hidden[:, -1]), group.rows))
        return following


@dataclass
class _Group:
    """The texts that begin with members of one branch, and so are equally long."""

    rows: list[int]
    state: State  # after all tokens but those that were drawn last
    room: float  # tokens that the model can still read

    def keep(self, state: State) -> None:
        """Keep the state after one more token."""
        self.state, self.room = state, self.room - 1


def _repeat_rows(state: State, rows: int) -> State:
    """Repeat the state of one row."""
    return tree_map(lambda leaf: leaf.repeat(rows, *[1] * (leaf.dim() - 1)) if isinstance(leaf, Tensor) and leaf.dim() else leaf, state)


def generate(model: Model, prompt: Sequence[int], count: int, limit: int, sampling: Sampling, seed: int, *, end: int) -> Iterator[Tensor]:
    """Continue tokens `count` times, whatever text they stand for, yielding the new ones [count] of each step, as `Generation` does."""
    yield from Generation(model, cover_tokens(prompt), count, sampling, seed, end=end).steps(limit)
