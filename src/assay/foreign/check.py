"""Check that a model from elsewhere is causal, treats each row alone, and gives the same logits on every call.

Each fault is looked for by changing what must not matter and comparing logits; differences within `Tolerance` are rounding.
"""

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from assay.core.devices import to_float64
from assay.errors import AssayError, UserError
from assay.foreign.adapter import ForeignCall, LastPositionOnlyError, ModelFunction, choose_device, find_module
from assay.foreign.findings import Finding, Findings, ModelKind, make_model_finding
from assay.foreign.tolerance import Tolerance, copy_in_float64, measure_tolerance
from assay.foreign.validation import ValidationLoop, check_validation
from assay.models.base import evaluation_mode

ROWS = 3
EVERY = 48  # texts up to this length are changed at every position, longer ones at some
SOME = 16  # positions, besides those next to powers of two, where blocks and segments end
AHEAD = 8  # tokens that are tried one by one for the one that the model looks at


@dataclass(frozen=True, slots=True)
class Probe:
    """A model and the texts that it is tried on."""

    call: ForeignCall
    ids: Tensor  # [B, T]
    changed_ids: Tensor  # [B, T], differs from `ids` everywhere
    seed: int

    def logits(self, ids: Tensor, seed: int = 0) -> Tensor:
        """Return logits [B, T, V] in float64; calls with the same `seed` draw the same random numbers."""
        torch.manual_seed(self.seed + seed)
        return to_float64(self.call.logits(ids))


def check_model(
    model: ModelFunction, vocabulary: int, *, length: int = 32, seed: int = 0, pad: int | None = None,
    validation: ValidationLoop | None = None, device: torch.device | str | None = None,
) -> Findings:  # fmt: skip
    """Check a callable from ids [B, T] to logits [B, T, V] on random ids below `vocabulary`, T = `length`.

    A module is checked in evaluation mode and put back. `pad` is the id that texts are padded with, if that is to be checked;
    `validation` says how its loss was measured. Raises UserError for what cannot be called so.
    """
    for name, value in (("length", length), ("vocabulary", vocabulary)):
        if not isinstance(value, Integral) or value < 2:
            raise UserError(f"{name}: {value!r} is no number of tokens; give a whole number from 2 on")
    call = ForeignCall(model, choose_device(model, device))
    with evaluation_mode(find_module(model)), torch.random.fork_rng([call.device] if call.device.type == "cuda" else []):
        try:
            findings = _check(call, vocabulary, length, seed, pad)
        except LastPositionOnlyError:
            findings = [make_model_finding("last_position_only")]
    return Findings([*findings, *(() if validation is None else check_validation(validation))])


def _check(call: ForeignCall, vocabulary: int, length: int, seed: int, pad: int | None) -> list[Finding]:
    try:
        entries = int(call.logits(torch.zeros(ROWS, length, dtype=torch.int64)).shape[-1])
        findings = [make_model_finding("small_vocabulary", amount=entries, length=vocabulary)] if entries < vocabulary else []
        if entries < 2:
            raise UserError("the model knows a single token, so nothing can be changed; give one whose logits are of at least 2")
        probe = _make_probe(call, min(entries, vocabulary), length, seed, pad)
        logits = probe.logits(probe.ids)
    except AssayError:
        raise
    except Exception as error:
        raise UserError(
            f"the model cannot read ids of shape {[ROWS, length]} ({_describe(error)}); "
            "give a callable from ids [B, T] to logits [B, T, V], and a length that it reads"
        ) from error
    findings += _check_values(logits)
    if any(finding.kind == "non_finite" for finding in findings):
        return findings
    unsteady = _check_calls(probe, logits)
    if any(finding.kind == "changes_state" for finding in unsteady):
        return findings + unsteady
    exact = copy_in_float64(call.function, probe.ids)  # there rounding hides nothing
    probe = probe if exact is None else replace(probe, call=ForeignCall(exact, call.device))
    return findings + unsteady + _check_dependence(probe, pad, random=bool(unsteady))


def _make_probe(call: ForeignCall, vocabulary: int, length: int, seed: int, pad: int | None) -> Probe:
    """Make random texts of tokens other than `pad`, and others that differ from them everywhere."""
    generator = torch.Generator().manual_seed(seed)
    usable = torch.tensor([token for token in range(vocabulary) if token != pad])
    if len(usable) < 2:
        raise UserError(f"pad: beside {pad} there is a single token, so nothing can be changed; give a vocabulary of at least 3")
    drawn = torch.randint(len(usable), (ROWS, length), generator=generator)
    moved = torch.randint(1, len(usable), (ROWS, length), generator=generator)
    return Probe(call, usable[drawn], usable[(drawn + moved) % len(usable)], seed)


def _check_values(logits: Tensor) -> list[Finding]:
    """Check that the numbers are finite logits."""
    broken = (logits.isnan() | logits.isposinf()).any(-1) | logits.isneginf().all(-1)
    if broken.any():
        return [make_model_finding("non_finite", position=int(broken.any(0).nonzero()[0]), length=logits.shape[1])]
    if logits.shape[-1] > 1 and bool((logits >= 0).all() and ((logits.sum(-1) - 1).abs() < 0.01).all()):
        return [make_model_finding("probabilities")]
    return [make_model_finding("normalised")] if bool((logits.logsumexp(-1).abs() < 0.01).all()) else []


def _check_calls(probe: Probe, logits: Tensor) -> list[Finding]:
    """Check whether a call depends on the calls before it, or on chance."""
    module = find_module(probe.call.function)
    buffers = {} if module is None else {name: buffer.clone() for name, buffer in module.named_buffers()}
    probe.logits(probe.changed_ids)
    again = probe.logits(probe.ids)
    kept = {} if module is None else module.state_dict()
    for name, before in buffers.items():
        if name in kept and not torch.equal(kept[name], before):
            return [make_model_finding("changes_state", name=name)]
    bound = measure_tolerance(lambda: probe.logits(probe.ids), logits).same_shape
    return _compare("changes_state", again, logits, bound) or _compare("not_deterministic", probe.logits(probe.ids, seed=1), logits, bound)


def _check_dependence(probe: Probe, pad: int | None, *, random: bool) -> list[Finding]:
    """Check whether logits depend on what they must not: later tokens, other rows, how many rows or tokens there are, padding."""
    logits = probe.logits(probe.ids)
    tolerance = measure_tolerance(lambda: probe.logits(probe.ids), logits)
    ahead = _looks_ahead(probe, logits, tolerance)
    rows = _mixes_rows(probe, logits, tolerance)
    findings = ahead + rows
    if not random:  # other shapes draw other random numbers
        findings += [] if rows else _depends_on_batch(probe, logits, tolerance)
        alone = [] if ahead else _depends_on_length(probe, logits, tolerance)
        findings += alone
        findings += [] if ahead or alone or pad is None else _depends_on_padding(probe, pad, tolerance)
    if not findings and _ignores_past(probe, logits, tolerance):
        findings.append(make_model_finding("ignores_past"))
    return findings


def _looks_ahead(probe: Probe, logits: Tensor, tolerance: Tolerance) -> list[Finding]:
    """Other tokens from t on must leave the logits before t as they are."""
    for t in _positions(probe.ids.shape[1]):
        far = _farthest(_distance(probe.logits(_change(probe, t, None))[:, :t], logits[:, :t]), tolerance.same_shape, last=True)
        if far is None:
            continue
        position = far[0]
        for token in range(t, min(t + AHEAD, probe.ids.shape[1])):
            one = _distance(probe.logits(_change(probe, token, token + 1)), logits)[position]
            if float(one) > tolerance.same_shape:
                return [make_model_finding("looks_ahead", position, float(one), token=token)]
        return [make_model_finding("looks_ahead", *far, token=t)]
    return []


def _mixes_rows(probe: Probe, logits: Tensor, tolerance: Tolerance) -> list[Finding]:
    """Other rows with other texts must leave a row as it is."""
    ids = torch.cat([probe.ids[:1], probe.changed_ids[1:]])
    return _compare("mixes_rows", probe.logits(ids)[:1], logits[:1], tolerance.same_shape)


def _depends_on_batch(probe: Probe, logits: Tensor, tolerance: Tolerance) -> list[Finding]:
    """A row alone must have the logits that it has among others."""
    try:
        alone = torch.cat([probe.logits(row.unsqueeze(0)) for row in probe.ids])
    except Exception as error:
        return [make_model_finding("fails", length=1, name=_describe(error))]
    return _compare("depends_on_batch", alone, logits, tolerance.other_shape, tolerance.position_share, length=ROWS)


def _depends_on_length(probe: Probe, logits: Tensor, tolerance: Tolerance) -> list[Finding]:
    """The beginning of a text alone must have the logits that it has where more follows."""
    total = probe.ids.shape[1]
    for length in sorted({1, total // 2, total - 1}):
        try:
            alone = probe.logits(probe.ids[:, :length])
        except Exception as error:
            return [make_model_finding("refuses_length", length=length, name=_describe(error))]
        if broken := [finding for finding in _check_values(alone) if finding.kind == "non_finite"]:
            return broken
        bounds, begin = (tolerance.other_shape, tolerance.position_share), logits[:, :length]
        if differs := _compare("depends_on_length", alone, begin, *bounds, length=length, more=total - length):
            return differs
    return []


def _depends_on_padding(probe: Probe, pad: int, tolerance: Tolerance) -> list[Finding]:
    """Padding on the right must leave the logits before it as they are."""
    total = probe.ids.shape[1]
    length = (total + 1) // 2
    padded = probe.ids.clone()
    try:
        padded[:, length:] = pad
        after = probe.logits(padded)[:, :length]
    except Exception as error:  # whatever a model raises for an id that it does not know
        raise UserError(f"pad: the model cannot read texts padded with {pad!r} ({_describe(error)}); give an id that it knows") from error
    alone = probe.logits(probe.ids[:, :length])
    bounds = tolerance.other_shape, tolerance.position_share
    return _compare("depends_on_padding", after, alone, *bounds, token=pad, length=length)


def _ignores_past(probe: Probe, logits: Tensor, tolerance: Tolerance) -> bool:
    """Whether the last logits depend on the last token alone, so that a look ahead could not show either."""
    ids = torch.cat([probe.changed_ids[:, :-1], probe.ids[:, -1:]], dim=1)
    return float(_distance(probe.logits(ids), logits)[-1]) <= tolerance.same_shape


def _positions(length: int) -> list[int]:
    """Choose where texts are changed: everywhere, or evenly and next to powers of two."""
    if length <= EVERY:
        return list(range(1, length))
    near = {2**power + step for power in range(1, length.bit_length()) for step in (-1, 0, 1)}
    even = {round(1 + index * (length - 2) / (SOME - 1)) for index in range(SOME)}
    return sorted(position for position in near | even if position < length)


def _change(probe: Probe, begin: int, end: int | None) -> Tensor:
    """Replace the tokens from `begin` to `end` by others."""
    ids = probe.ids.clone()
    ids[:, begin:end] = probe.changed_ids[:, begin:end]
    return ids


def _compare(kind: ModelKind, left: Tensor, right: Tensor, bound: float, share: float = 0.0, **values: Any) -> list[Finding]:
    """Return the finding that two results differ by more than a bound at more than a share of the positions; none where they do not."""
    far = _farthest(_distance(left, right), bound, share=share)
    return [] if far is None else [make_model_finding(kind, *far, **values)]


def _distance(left: Tensor, right: Tensor) -> Tensor:
    """Return the largest difference between logits at each position, [T]; infinite where only one is a number."""
    gap = torch.where(left == right, 0.0, (left - right).abs())
    return gap.nan_to_num(torch.inf, torch.inf).amax((0, 2))


def _farthest(distance: Tensor, within: float, *, last: bool = False, share: float = 0.0) -> tuple[int, float] | None:
    """Find the first or last position that is further away than a bound, if more than a share of them are, and how far it is."""
    beyond = (distance > within).nonzero().flatten().tolist()
    if len(beyond) <= share * len(distance):
        return None
    position = beyond[-1 if last else 0]
    return position, float(distance[position])


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
