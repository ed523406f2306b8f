"""Checkpoints: a folder a step, complete or absent, checked by hash, read without running code that is stored in them."""

import errno
import io
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from assay.core.files import encode_json, flush, hash_file, name_file, utf8_path, write_durably
from assay.core.renames import update_weights
from assay.core.words import shorten
from assay.errors import RunError, UserError, is_disk_full
from assay.runs.checkpoint_ref import CHECKPOINT_KINDS, PREFIX, CheckpointKind, CheckpointRef, format_step, list_steps, parse_step
from assay.training.state import BestCheckpoint, TrainState

WEIGHTS, STATE, MANIFEST, BEST = "model.safetensors", "state.pt", "manifest.json", "best.json"
OBJECTIVE = "objective.safetensors"  # of the objective, where it has weights: what only trains is no part of the model
AVERAGE = "average.safetensors"  # the moving average of the weights, where one is kept
MAX_LOOKS = 20  # for a checkpoint that is deleted again and again while it is read
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)  # of what is there but cannot be read, nobody knows that it is damaged
KEPT = "kept"  # an empty file in a checkpoint that is never deleted
PARTIAL = ".partial-"  # a checkpoint being written, by its process


def save(folder: Path, state: TrainState, extra: Mapping[str, Any], *, kept: bool = False) -> Path:
    """Write `folder/step-N` so that it exists whole or not at all, then delete all checkpoints but the last, the best and those kept.

    What a step saves is a function of the step, so a whole checkpoint that is there already is kept: replacing a folder takes two moves,
    between which a process may die. Raises RunError if the disk is full; earlier checkpoints stay.
    """
    target = folder / format_step(state.step)
    partial = folder / f"{PARTIAL}{os.getpid()}"
    try:
        if not (target.is_dir() and _is_whole(target)):
            _write(target, partial, state, extra)
        settle(folder, state, kept=kept)
    except (OSError, SafetensorError, RuntimeError) as failed:
        shutil.rmtree(partial, ignore_errors=True)
        raise RunError(_explain_unwritten(target, failed)) from None
    return target


def _explain_unwritten(target: Path, failed: Exception) -> str:
    """Write why a checkpoint could not be saved, and what to do: that depends on the cause, and on what was saved before."""
    cause = failed.strerror or str(failed) if isinstance(failed, OSError) else str(failed)
    cause, first = ("the disk is full", "make room") if is_disk_full(failed) else (f"of this: {cause.lower()}", "mend that")
    then = "go on with `assay resume`" if list_steps(target.parent) else "train again, as nothing was saved before"
    return f"{target}: cannot be written because {cause}; {first}, then {then}"


def settle(folder: Path, state: TrainState, *, kept: bool = False) -> None:
    """Do what is left to do once `state` is saved: note which checkpoint is the best and whether this one is kept, delete the others.

    Called after loading as well, as a process may have died, or found the disk full, between the two.
    """
    if state.best is not None:
        write_durably(folder / BEST, encode_json(state.best._asdict()))
    if kept:
        write_durably(folder / format_step(state.step) / KEPT, "")
    _prune(folder)


def _write(target: Path, partial: Path, state: TrainState, extra: Mapping[str, Any]) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with state.optimizer.use_averaged_weights():
        weights = {WEIGHTS: copy_to_cpu(state.learner.model.state_dict()), OBJECTIVE: copy_to_cpu(state.learner.objective.state_dict())}
    if state.weight_average is not None:
        weights[AVERAGE] = copy_to_cpu(state.weight_average.weights)
    files = {name: tensors for name, tensors in weights.items() if tensors}
    for name, tensors in files.items():
        save_file(tensors, partial / name, metadata={"format": "pt"})  # of several, the order would vary
    with (partial / STATE).open("wb") as file:  # a file of Python's, whose errors say what is wrong
        torch.save({**state.state_dict(), "extra": dict(extra)}, file)
    manifest = {name: hash_file(partial / name) for name in (*files, STATE)}
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
    for name in (*files, STATE, MANIFEST):
        flush(partial / name)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    flush(target.parent)


def copy_to_cpu(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy weights to the CPU, by name, each once."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()}


def load_chosen_weights(folder: Path, which: str | int, model: nn.Module) -> CheckpointRef:
    """Load the weights called `best`, `last`, `average` or by their step into `model`, and return which these are. Raises RunError.

    A run that trains meanwhile may delete a checkpoint while it is read: then `best`, `last` or `average` is looked for anew.
    """
    for _ in range(MAX_LOOKS):
        ref = resolve(folder, which)
        path = folder / format_step(ref.step)
        try:
            load_weights(path, model, weights_file(ref))
            return ref
        except (RunError, OSError):
            if ref.kind == "step" or path.is_dir():  # damaged, unreadable, or of another model
                raise
    raise RunError(
        f"{folder}: the run saves faster than its checkpoints can be read; wait until it ends, or save less often (train.save_every)"
    )


def weights_file(ref: CheckpointRef) -> str:
    """Return the name of the file, in a checkpoint, of the weights that `ref` means."""
    return AVERAGE if ref.kind == "average" else WEIGHTS


def find_folder(folder: Path, which: str) -> Path:
    """Find the folder of the checkpoint called `last`, `best` or by its step, or of the one that holds the `average`. Raises RunError."""
    return folder / format_step(resolve(folder, which).step)


def resolve(folder: Path, which: str | int) -> CheckpointRef:
    """Find the checkpoint called `last`, `best` or by its step, or the one that holds the `average`. Raises RunError."""
    which = str(which)
    best = read_best(folder) if which == "best" else None  # before the list, as a run notes it after the checkpoint is there
    saved = list_steps(folder)
    if not saved:
        raise RunError(
            f"{folder}: holds no checkpoint; where the run still trains, wait until it saves one (train.save_every), else train it anew"
        )
    kind: CheckpointKind = next((kind for kind in CHECKPOINT_KINDS if kind == which), "step")
    step = saved[-1] if best is None else best.step
    if kind == "step":
        number = which.removeprefix(PREFIX)  # the name of its folder means it as well
        step = int(number) if number.isdecimal() and len(number) < 19 else -1
    ref = CheckpointRef(kind, step)
    path = folder / format_step(step)
    if step not in saved:
        raise RunError(f"{folder}: no checkpoint {shorten(which)!r}; there are best, last, {', '.join(map(str, saved))}")
    if ref.kind == "average" and not (path / AVERAGE).is_file():
        raise RunError(f"{path}: keeps no average of the weights; train with train.ema=0.999, or choose best or last")
    return ref


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors file by their names."""
    with utf8_path(file) as path:
        return load_file(path)


def load_weights(path: Path, model: nn.Module, file: str = WEIGHTS) -> None:
    """Load the weights of a checkpoint into `model`; every name and shape must fit. Raises RunError."""
    verify(path, file)
    _fill(model, path, file)


def _fill(model: nn.Module, path: Path, file: str) -> None:
    """Load weights that were verified into `model`."""
    try:
        with name_file(path / file):
            model.load_state_dict(update_weights(read_tensors(path / file)))
    except (RuntimeError, SafetensorError) as broken:
        reason = str(broken).splitlines()[-1].strip()
        raise RunError(f"{path}: does not fit the model of this run ({reason}); was config.toml changed?") from None


def load(path: Path, state: TrainState) -> dict[str, Any]:
    """Restore `state` from a checkpoint, and return the rest of what was saved. Raises RunError."""
    trained = bool(state.learner.objective.state_dict())
    verify(path, WEIGHTS, STATE, *([OBJECTIVE] if trained else []), *([] if state.weight_average is None else [AVERAGE]))
    _fill(state.learner.model, path, WEIGHTS)
    if trained:
        _fill(state.learner.objective, path, OBJECTIVE)
    if state.weight_average is not None:
        with name_file(path / AVERAGE):
            state.weight_average.load_state_dict(update_weights(read_tensors(path / AVERAGE)))
    values = _read_state(path)
    extra: dict[str, Any] = values.pop("extra")
    try:
        state.load_state_dict(values)  # the optimiser last: where it averages, the weights that are trained are not those that are saved
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as unfit:
        raise _refuse_state(path, f"{type(unfit).__name__}: {unfit}") from None
    return extra


def read_values(path: Path) -> dict[str, Any]:
    """Read the saved values of a checkpoint without a model. Raises RunError."""
    verify(path, STATE)
    return _read_state(path)


def _read_state(path: Path) -> dict[str, Any]:
    try:
        with name_file(path / STATE), (path / STATE).open("rb") as file:  # a file of Python's: see above
            values: dict[str, Any] = torch.load(file, weights_only=True)
    except Exception as refused:  # torch's reader of bytes that are none of its own raises whatever comes
        if isinstance(refused, OSError) and refused.errno != errno.EINVAL:  # the disk fails; a seek to nowhere is of damaged bytes
            raise
        raise _refuse_state(path, refused) from None
    if not isinstance(values, dict) or not isinstance(values.get("extra"), dict):
        raise _refuse_state(path, "what a state holds is missing")
    return values


def _refuse_state(path: Path, reason: object) -> RunError:
    return RunError(f"{path}: {STATE} is not a training state of Assay ({shorten(str(reason))}); {_advise(path, resumes=True)}")


def verify(path: Path, *files: str) -> None:
    """Raise RunError unless these files of a checkpoint, absent: all of them, are as they were written."""
    if broken := find_damaged(path, *files):
        raise RunError(f"{path}: {broken[0]} is damaged or missing; {_advise(path, resumes=not files or STATE in files)}")


def find_damaged(path: Path, *files: str) -> list[str]:
    """List those of these files of a checkpoint, absent: of all, that are not as they were written.

    Raises OSError, which names it, for a file that is there and cannot be read: it may be whole.
    """
    try:
        with name_file(path / MANIFEST):
            manifest: dict[str, str] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if not {WEIGHTS, STATE, *files} <= manifest.keys():
            return [MANIFEST]
    except (*ABSENT, ValueError, AttributeError):
        return [MANIFEST]
    return [name for name in files or manifest if not _has_hash(path / name, manifest[name])]


def _has_hash(path: Path, digest: str) -> bool:
    try:
        return hash_file(path) == digest
    except ABSENT:
        return False


def _is_whole(path: Path, *files: str) -> bool:
    """Whether these files of a checkpoint, absent: all, can be read and are as they were written."""
    with suppress(OSError):
        return not find_damaged(path, *files)
    return False


def _advise(path: Path, *, resumes: bool) -> str:
    """Say what can still be done where a checkpoint is damaged, having looked."""
    folder, step = path.parent, parse_step(path)
    others = [other for other in reversed(list_steps(folder)) if other != step]
    if resumes:
        whole = next((other for other in others if other < step and _is_whole(folder / format_step(other))), None)
        if whole is not None:
            return f"delete this folder, and `assay resume` goes on from step {whole}, whose checkpoint is whole"
    readable = next((other for other in (step, *others) if _is_whole(folder / format_step(other), WEIGHTS)), None)
    if readable is None:
        return "no checkpoint of this run is whole; restore this one from a copy, or train the run anew"
    way = f"the weights of step {readable} are whole, and --checkpoint {readable} reads them to sample and to score"
    return f"no checkpoint is whole that training could go on from; {way}" if resumes else way


def refuse_unsavable(owner: str, state: Mapping[str, Any]) -> None:
    """Raise UserError for the state of a hook that could be saved but not read back, as reading runs no stored code."""
    file = io.BytesIO()
    try:
        torch.save(dict(state), file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except (pickle.PickleError, AttributeError, TypeError, RuntimeError):
        raise UserError(
            f"hooks: '{owner}' remembers more than numbers, texts, lists, dicts and tensors, which no checkpoint can keep; return less in "
            "its state_dict"
        ) from None


def read_best(folder: Path) -> BestCheckpoint | None:
    """Read which checkpoint is the best; None if none was noted, or it is gone. Raises RunError where the note is damaged."""
    try:
        with name_file(folder / BEST):
            best = BestCheckpoint(**json.loads((folder / BEST).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise RunError(f"{folder / BEST}: is damaged, so the best checkpoint is not known; choose --checkpoint last, or a step") from None
    return best if best.step in list_steps(folder) else None


def _prune(folder: Path) -> None:
    *earlier, _ = list_steps(folder)
    try:
        best = read_best(folder)
    except RunError:  # which one to keep is not known: all of them
        earlier, best = [], None
    for step in earlier:
        if (best is None or step != best.step) and not (folder / format_step(step) / KEPT).exists():
            (folder / format_step(step)).rename(folder / f"{PARTIAL}{os.getpid()}-{step}")  # gone at once, whatever happens next
    for partial in folder.glob(f"{PARTIAL}*"):  # and what processes left that were killed while they saved
        shutil.rmtree(partial, ignore_errors=True)
