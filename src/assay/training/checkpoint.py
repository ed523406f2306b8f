"""Checkpoints: a folder a step, complete or absent, checked by hash, readable without running anybody's code."""

import io
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from assay.core.files import hash_file, write_text
from assay.errors import RunError, UserError, disk_full
from assay.runs.checkpoint_ref import CheckpointRef, step_name, steps_in
from assay.training.state import Best, TrainState

WEIGHTS, STATE, MANIFEST, BEST = "model.safetensors", "state.pt", "manifest.json", "best.json"
HEADS = "objective.safetensors"  # of the objective, where it has weights: what only trains is no part of the model
AVERAGE = "average.safetensors"  # the moving average of the weights, where one is kept
PARTIAL = ".partial-"  # a checkpoint being written, by its process


def save(folder: Path, state: TrainState, extra: Mapping[str, Any]) -> Path:
    """Write `folder/step-N` so that it either exists whole or not at all, then drop what is neither last nor best.

    What a step saves is a function of the step, so a whole checkpoint that is there already stays; it is never replaced, which could
    not be done at once. Raises RunError if the disk is full; the checkpoints before it stay.
    """
    target = folder / step_name(state.step)
    partial = folder / f"{PARTIAL}{os.getpid()}"
    try:
        if not (target.is_dir() and not damaged(target)):
            _write(target, partial, state, extra)
        if state.best is not None:
            write_best(folder, state.best)
    except (OSError, SafetensorError, RuntimeError) as failed:
        shutil.rmtree(partial, ignore_errors=True)
        raise RunError(f"{target}: cannot be written because {_cause(failed)}; make room, then go on with `assay resume`") from None
    _prune(folder)
    return target


def _write(target: Path, partial: Path, state: TrainState, extra: Mapping[str, Any]) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with state.optimizer.averaged():
        named = {WEIGHTS: weights(state.learner.model), HEADS: weights(state.learner.objective)}
    if state.average is not None:
        named[AVERAGE] = weights(state.average.weights)
    files = {name: tensors for name, tensors in named.items() if tensors}
    for name, tensors in files.items():
        save_file(tensors, partial / name, metadata={"format": "pt", "step": str(state.step)})
    with (partial / STATE).open("wb") as file:  # a file of Python's, whose errors say what is wrong
        torch.save({**state.values(), "extra": dict(extra)}, file)
    manifest = {name: hash_file(partial / name) for name in (*files, STATE)}
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
    for name in (*files, STATE, MANIFEST):
        _flush(partial / name)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    _flush(target.parent)


def _cause(failed: BaseException) -> str:
    """What kept a file from being written."""
    return "the disk is full" if disk_full(failed) else str(failed)


def weights(owner: nn.Module | Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights by name, each once, as copies on the CPU."""
    named = owner.state_dict() if isinstance(owner, nn.Module) else owner
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in named.items()}


def open_weights(folder: Path, which: str | int, model: nn.Module) -> CheckpointRef:
    """Fill `model` with the weights called `best`, `last`, `average` or by their step; which ones these are. Raises RunError."""
    ref = resolve(folder, which)
    load_weights(folder / step_name(ref.step), model, weights_file(ref))
    return ref


def weights_file(ref: CheckpointRef) -> str:
    """The file, in a checkpoint, of the weights that are meant."""
    return AVERAGE if ref.kind == "average" else WEIGHTS


def locate(folder: Path, which: str) -> Path:
    """The folder of the checkpoint called `last`, `best` or by its step, or of the one that holds the `average`. Raises RunError."""
    return folder / step_name(resolve(folder, which).step)


def resolve(folder: Path, which: str | int) -> CheckpointRef:
    """The checkpoint called `last`, `best` or by its step, or the one that holds the `average`. Raises RunError."""
    saved, which = steps_in(folder), str(which)
    if not saved:
        raise RunError(f"{folder}: holds no checkpoint yet; wait until the run saves one (train.save_every), or train it anew")
    best = read_best(folder) if which == "best" else None
    found: dict[str, CheckpointRef] = {
        "best": CheckpointRef("best", saved[-1] if best is None else best.step),
        "last": CheckpointRef("last", saved[-1]),
        "average": CheckpointRef("average", saved[-1]),
    }
    ref = found.get(which) or CheckpointRef("step", int(which) if which.isdigit() else -1)
    if ref.step not in saved:
        raise RunError(f"{folder}: no checkpoint '{which}'; there are best, last, {', '.join(map(str, saved))}")
    if ref.kind == "average" and not (folder / step_name(ref.step) / AVERAGE).is_file():
        place = folder / step_name(ref.step)
        raise RunError(f"{place}: keeps no average of the weights; train with train.ema=0.999, or choose best or last")
    return ref


def load_weights(path: Path, model: nn.Module, file: str = WEIGHTS) -> None:
    """Fill `model` with the weights of a checkpoint; every name and shape must fit. Raises RunError."""
    verify(path)
    try:
        model.load_state_dict(load_file(path / file))
    except (RuntimeError, SafetensorError, OSError) as broken:
        reason = str(broken).splitlines()[-1].strip()
        raise RunError(f"{path}: does not fit the model of this run ({reason}); was config.toml changed?") from None


def load(path: Path, state: TrainState) -> dict[str, Any]:
    """Bring `state` to where a checkpoint stands; the rest of what was saved is returned. Raises RunError."""
    load_weights(path, state.learner.model)
    if state.learner.objective.state_dict():
        load_weights(path, state.learner.objective, HEADS)
    if state.average is not None:
        state.average.restore(load_file(path / AVERAGE))
    values = _values(path)
    extra: dict[str, Any] = values.pop("extra")
    state.restore(values)  # the optimiser last: where it averages, the weights that are trained are not those that are saved
    return extra


def peek(path: Path) -> dict[str, Any]:
    """The saved values of a checkpoint without a model to put them into."""
    verify(path)
    return _values(path)


def _values(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = torch.load(path / STATE, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as refused:
        reason = str(refused).splitlines()[0]
        raise RunError(f"{path}: {STATE} is not a training state that Assay saved ({reason}); delete this folder") from None
    return values


def verify(path: Path) -> None:
    """Raise RunError unless every file of a checkpoint is as it was written."""
    if broken := damaged(path):
        raise RunError(f"{path}: {broken[0]} is damaged or missing; delete this folder to fall back to the checkpoint before it")


def damaged(path: Path) -> list[str]:
    """The files of a checkpoint that are not as they were written."""
    try:
        manifest: dict[str, str] = json.loads((path / MANIFEST).read_text())
        if not {WEIGHTS, STATE} <= manifest.keys():
            return [MANIFEST]
        return [name for name, digest in manifest.items() if not (path / name).is_file() or hash_file(path / name) != digest]
    except (OSError, ValueError, AttributeError):
        return [MANIFEST]


def refuse_unreadable(owner: str, memory: Mapping[str, Any]) -> None:
    """Raise UserError for what a hook remembers that could be saved and not be read back, as reading runs nobody's code."""
    file = io.BytesIO()
    try:
        torch.save(dict(memory), file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except (pickle.PickleError, AttributeError, TypeError, RuntimeError):
        raise UserError(
            f"hooks: '{owner}' remembers more than numbers, texts, lists, dicts and tensors, which no checkpoint can keep; return less in "
            "its state_dict"
        ) from None


def write_best(folder: Path, best: Best) -> None:
    """Note which checkpoint is best."""
    write_text(folder / BEST, json.dumps(best._asdict()))


def read_best(folder: Path) -> Best | None:
    """The best checkpoint, if one was noted and is still there."""
    try:
        best = Best(**json.loads((folder / BEST).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return best if best.step in steps_in(folder) else None


def _prune(folder: Path) -> None:
    saved = steps_in(folder)
    best = read_best(folder)
    keep = {saved[-1], best.step if best else saved[-1]}
    for step in saved:
        if step not in keep:
            shutil.rmtree(folder / step_name(step))
    for debris in folder.glob(f"{PARTIAL}*"):  # of processes that were killed while they saved
        shutil.rmtree(debris, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
