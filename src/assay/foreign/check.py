"""Whether a model from elsewhere is what its figure takes it for: causal, row by row, the same on every call.

Each fault is looked for by changing what must not matter and comparing logits. Two results are told apart from rounding by `Precision`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from assay.core.devices import resolve
from assay.errors import AssayError, UserError
from assay.foreign.adapter import Callee, ForeignCall, LastPositionOnly, device_of, evaluating, module_of
from assay.foreign.findings import Findings
from assay.foreign.model_finding import ModelFinding
from assay.foreign.precision import Precision, in_float64, measure_precision
from assay.foreign.validation import ValidationLoop, check_validation

ROWS = 3
EVERY = 48  # texts up to this length are changed at every position, longer ones at some
SOME = 16  # positions, besides those next to powers of two, where blocks and segments end
NEAR = 8  # tokens that are tried one by one for the one that is looked ahead to

Found = list[ModelFinding]


@dataclass(frozen=True, slots=True)
class Probe:
    """A model and the texts that it is tried on."""

    call: ForeignCall
    ids: Tensor  # [B, T]
    other: Tensor  # [B, T], differs from `ids` everywhere
    seed: int

    def logits(self, ids: Tensor, seed: int = 0) -> Tensor:
        """[B, T, V] in float64; what a model draws at random is drawn alike on every call with the same `seed`."""
        torch.manual_seed(self.seed + seed)
        return self.call.logits(ids).double()


def check_model(
    model: Callee, vocabulary: int, *, length: int = 32, seed: int = 0, pad: int | None = None,
    validation: ValidationLoop | None = None, device: torch.device | str | None = None,
) -> Findings:  # fmt: skip
    """What is wrong with a callable from ids [B, T] to logits [B, T, V], tried on random ids below `vocabulary`, T = `length`.

    A module is checked in evaluation mode and put back. `pad` is the id that texts are padded with, if that is to be checked;
    `validation` says how its loss was measured. Raises UserError for what cannot be called so.
    """
    for name, value in (("length", length), ("vocabulary", vocabulary)):
        if not isinstance(value, Integral):
            raise UserError(f"{name}: {value!r} is no number of tokens; give a whole number from 2 on")
    if length < 2 or vocabulary < 2:
        raise UserError(f"length and vocabulary: {length} and {vocabulary} are too few to change anything; give at least 2 of both")
    call = ForeignCall(model, resolve(str(device), "device") if device is not None else device_of(model))
    with evaluating(model), _random_state_kept(call.device):
        try:
            found = _check(call, vocabulary, length, seed, pad)
        except LastPositionOnly:
            found = [ModelFinding("last_position_only")]
    return Findings(found) + (check_validation(validation) if validation is not None else Findings())


def _check(call: ForeignCall, vocabulary: int, length: int, seed: int, pad: int | None) -> Found:
    try:
        known = int(call.logits(torch.zeros(ROWS, length, dtype=torch.int64)).shape[-1])
        found = [ModelFinding("small_vocabulary", amount=known, length=vocabulary)] if known < vocabulary else []
        if known < 2:
            raise UserError("the model knows a single token, so nothing can be changed; give one whose logits are of at least 2")
        probe = _probe(call, min(known, vocabulary), length, seed, pad)
        logits = probe.logits(probe.ids)
    except AssayError:
        raise
    except Exception as error:
        raise UserError(
            f"the model cannot read ids of shape {[ROWS, length]} ({type(error).__name__}: {error}); "
            "give a callable from ids [B, T] to logits [B, T, V], and a length that it reads"
        ) from error
    found += _of_values(logits)
    if any(finding.kind == "non_finite" for finding in found):
        return found
    moved = _of_calls(probe, logits)
    found += moved
    if any(finding.kind == "changes_state" for finding in moved):
        return found
    found += _of_text(_exact(probe), pad, random=bool(moved))
    return found


def _probe(call: ForeignCall, vocabulary: int, length: int, seed: int, pad: int | None) -> Probe:
    """Texts of tokens other than `pad`, and others that differ from them everywhere."""
    generator = torch.Generator().manual_seed(seed)
    usable = torch.tensor([token for token in range(vocabulary) if token != pad])
    if len(usable) < 2:
        raise UserError(f"pad: beside {pad} there is a single token, so nothing can be changed; give a vocabulary of at least 3")
    drawn = torch.randint(len(usable), (ROWS, length), generator=generator)
    moved = torch.randint(1, len(usable), (ROWS, length), generator=generator)
    return Probe(call, usable[drawn], usable[(drawn + moved) % len(usable)], seed)


def _exact(probe: Probe) -> Probe:
    """The same with a copy of the model in float64, where that can be had: there rounding hides nothing."""
    copy = in_float64(probe.call.callee, probe.ids)
    return probe if copy is None else Probe(ForeignCall(copy, probe.call.device), probe.ids, probe.other, probe.seed)


def _of_values(logits: Tensor) -> Found:
    """What the numbers themselves say."""
    broken = (logits.isnan() | logits.isposinf()).any(-1) | logits.isneginf().all(-1)
    if broken.any():
        return [ModelFinding("non_finite", position=int(broken.any(0).nonzero()[0]), length=logits.shape[1])]
    if logits.shape[-1] > 1 and bool((logits >= 0).all()) and _near_zero(logits.sum(-1) - 1):
        return [ModelFinding("probabilities")]
    return [ModelFinding("normalised")] if _near_zero(logits.logsumexp(-1)) else []


def _near_zero(values: Tensor) -> bool:
    return bool((values.abs() < 0.01).all())


def _of_calls(probe: Probe, logits: Tensor) -> Found:
    """Whether a call depends on the calls before it, or on chance."""
    module = module_of(probe.call.callee)
    buffers = {} if module is None else {name: buffer.clone() for name, buffer in module.named_buffers()}
    probe.logits(probe.other)
    again = _distance(probe.logits(probe.ids), logits)
    kept = {} if module is None else module.state_dict()
    for name, before in buffers.items():
        if name in kept and not torch.equal(kept[name], before):
            return [ModelFinding("changes_state", name=name)]
    precision = measure_precision(lambda: probe.logits(probe.ids), logits)
    if (far := _farthest(again, precision.same_shape)) is not None:
        return [ModelFinding("changes_state", *far)]
    chance = _farthest(_distance(probe.logits(probe.ids, seed=1), logits), precision.same_shape)
    return [] if chance is None else [ModelFinding("not_deterministic", *chance)]


def _of_text(probe: Probe, pad: int | None, *, random: bool) -> Found:
    """Whether logits depend on what they must not: later tokens, other rows, how many rows or tokens there are, padding."""
    logits = probe.logits(probe.ids)
    precision = measure_precision(lambda: probe.logits(probe.ids), logits)
    ahead = _looks_ahead(probe, logits, precision)
    rows = _mixes_rows(probe, logits, precision)
    found = ahead + rows
    if not random:  # other shapes draw other random numbers
        found += [] if rows else _depends_on_batch(probe, logits, precision)
        alone = [] if ahead else _depends_on_length(probe, logits, precision)
        found += alone
        found += [] if ahead or alone or pad is None else _depends_on_padding(probe, pad, precision)
    if not found and _ignores_past(probe, logits, precision):
        found.append(ModelFinding("ignores_past"))
    return found


def _looks_ahead(probe: Probe, logits: Tensor, precision: Precision) -> Found:
    """Other tokens from t on must leave the logits before t as they are."""
    for t in _positions(probe.ids.shape[1]):
        far = _farthest(_distance(probe.logits(_changed(probe, t, None))[:, :t], logits[:, :t]), precision.same_shape, last=True)
        if far is None:
            continue
        position = far[0]
        for token in range(t, min(t + NEAR, probe.ids.shape[1])):
            one = _distance(probe.logits(_changed(probe, token, token + 1)), logits)[position]
            if float(one) > precision.same_shape:
                return [ModelFinding("looks_ahead", position, float(one), token=token)]
        return [ModelFinding("looks_ahead", *far, token=t)]
    return []


def _mixes_rows(probe: Probe, logits: Tensor, precision: Precision) -> Found:
    """Other rows with other texts must leave a row as it is."""
    ids = torch.cat([probe.ids[:1], probe.other[1:]])
    far = _farthest(_distance(probe.logits(ids)[:1], logits[:1]), precision.same_shape)
    return [] if far is None else [ModelFinding("mixes_rows", *far)]


def _depends_on_batch(probe: Probe, logits: Tensor, precision: Precision) -> Found:
    """A row alone must have the logits that it has among others."""
    try:
        alone = torch.cat([probe.logits(row.unsqueeze(0)) for row in probe.ids])
    except Exception as error:
        return [ModelFinding("fails", length=1, name=f"{type(error).__name__}: {error}")]
    far = _farthest(_distance(alone, logits), precision.other_shape, share=precision.share)
    return [] if far is None else [ModelFinding("depends_on_batch", *far, length=ROWS)]


def _depends_on_length(probe: Probe, logits: Tensor, precision: Precision) -> Found:
    """The beginning of a text alone must have the logits that it has where more follows."""
    total = probe.ids.shape[1]
    for length in sorted({1, total // 2, total - 1}):
        try:
            alone = probe.logits(probe.ids[:, :length])
        except Exception as error:
            return [ModelFinding("refuses_length", length=length, name=f"{type(error).__name__}: {error}")]
        if broken := [finding for finding in _of_values(alone) if finding.kind == "non_finite"]:
            return broken
        far = _farthest(_distance(alone, logits[:, :length]), precision.other_shape, share=precision.share)
        if far is not None:
            return [ModelFinding("depends_on_length", *far, length=length, more=total - length)]
    return []


def _depends_on_padding(probe: Probe, pad: int, precision: Precision) -> Found:
    """Padding on the right must leave the logits before it as they are."""
    total = probe.ids.shape[1]
    length = (total + 1) // 2
    padded = probe.ids.clone()
    try:
        padded[:, length:] = pad
        after = probe.logits(padded)[:, :length]
    except Exception as error:  # whatever a model raises for an id that it does not know
        raise UserError(
            f"pad: the model cannot read texts padded with {pad!r} ({type(error).__name__}: {error}); give an id that it knows"
        ) from error
    alone = probe.logits(probe.ids[:, :length])
    far = _farthest(_distance(after, alone), precision.other_shape, share=precision.share)
    return [] if far is None else [ModelFinding("depends_on_padding", *far, token=pad, length=length)]


def _ignores_past(probe: Probe, logits: Tensor, precision: Precision) -> bool:
    """Whether the last logits depend on the last token alone, so that a look ahead could not show either."""
    ids = torch.cat([probe.other[:, :-1], probe.ids[:, -1:]], dim=1)
    return float(_distance(probe.logits(ids), logits)[-1]) <= precision.same_shape


def _positions(length: int) -> list[int]:
    """Where texts are changed: everywhere, or evenly and next to powers of two."""
    if length <= EVERY:
        return list(range(1, length))
    near = {2**power + step for power in range(1, length.bit_length()) for step in (-1, 0, 1)}
    even = {round(1 + index * (length - 2) / (SOME - 1)) for index in range(SOME)}
    return sorted(position for position in near | even if position < length)


def _changed(probe: Probe, begin: int, end: int | None) -> Tensor:
    ids = probe.ids.clone()
    ids[:, begin:end] = probe.other[:, begin:end]
    return ids


def _distance(left: Tensor, right: Tensor) -> Tensor:
    """[T] the largest difference between logits at each position; infinite where only one is a number."""
    gap = torch.where(left == right, 0.0, (left - right).abs())
    return gap.nan_to_num(torch.inf, torch.inf).amax((0, 2))


def _farthest(distance: Tensor, within: float, *, last: bool = False, share: float = 0.0) -> tuple[int, float] | None:
    """The position, the first or the last of them, that is further away than rounding, if more than a share of them are; how far it is."""
    beyond = (distance > within).nonzero().flatten().tolist()
    if len(beyond) <= share * len(distance):
        return None
    position = beyond[-1 if last else 0]
    return position, float(distance[position])


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """Whoever draws random numbers afterwards gets those that they would have got."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
