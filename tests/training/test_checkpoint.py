"""Checkpoints: whole or absent whatever happens while they are written, refused when damaged, complete when read."""

import copy
import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.errors import RunError, UserError
from assay.experiment.assemble import Experiment
from assay.runs.checkpoint_ref import CheckpointRef
from assay.tools.verify_resume import equal_bits
from assay.training import checkpoint
from assay.training.loop import train_step
from assay.training.state import BestCheckpoint
from support.experiment import DROPOUT, build

FILES = (checkpoint.WEIGHTS, checkpoint.STATE, checkpoint.MANIFEST)


class CrashError(BaseException):
    """The process ends here."""


@pytest.fixture
def experiment(text: Path) -> Experiment:
    return build(text, *DROPOUT)


def advance(experiment: Experiment, steps: int) -> None:
    for _ in range(steps):
        train_step(experiment.state, experiment.setup)


def save(folder: Path, experiment: Experiment, steps: int = 1, best: float | None = None) -> Path:
    """Train some steps and save; `best` is a validation at that point."""
    advance(experiment, steps)
    if best is not None:
        experiment.state.best = BestCheckpoint(experiment.state.step, best)
    return checkpoint.save(folder, experiment.state, {"note": "kept"})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("optimizer", ["optimizer=adamw", "optimizer=muon"])
def test_a_loaded_checkpoint_is_the_state_that_was_saved_and_goes_on_bit_for_bit(text: Path, tmp_path: Path, optimizer: str) -> None:
    straight, resumed = (build(text, *DROPOUT, optimizer) for _ in range(2))
    path = save(tmp_path, straight, steps=3, best=2.5)
    extra = checkpoint.load(path, resumed.state)
    assert extra == {"note": "kept"}
    assert equal_bits(straight.state.state_dict(), resumed.state.state_dict())
    assert resumed.state.best == BestCheckpoint(3, 2.5)
    advance(straight, 3)
    advance(resumed, 3)
    assert equal_bits(straight.state.state_dict(), resumed.state.state_dict())
    assert equal_bits(straight.state.learner.state_dict(), resumed.state.learner.state_dict())


def test_a_moving_average_is_saved_beside_the_weights_and_goes_on_bit_for_bit(text: Path, tmp_path: Path) -> None:
    straight, resumed = (build(text, *DROPOUT, "train.ema=0.9") for _ in range(2))
    path = save(tmp_path, straight, steps=3)
    assert names(path) == sorted((*FILES, checkpoint.AVERAGE))
    checkpoint.load(path, resumed.state)
    for each in (straight, resumed):
        advance(each, 3)
    assert straight.state.weight_average is not None
    assert resumed.state.weight_average is not None
    assert equal_bits(straight.state.weight_average.weights, resumed.state.weight_average.weights)
    assert equal_bits(straight.state.learner.state_dict(), resumed.state.learner.state_dict())
    averaged = copy.deepcopy(straight.state.learner.model)
    checkpoint.load_chosen_weights(tmp_path, "average", averaged)
    assert not equal_bits(averaged.state_dict(), straight.state.learner.model.state_dict())


def test_an_average_that_was_not_kept_is_refused(tmp_path: Path, experiment: Experiment) -> None:
    save(tmp_path, experiment)
    with pytest.raises(RunError, match=r"keeps no average of the weights; train with train\.ema"):
        checkpoint.load_chosen_weights(tmp_path, "average", experiment.state.learner.model)


def test_a_checkpoint_is_three_files_that_run_nobodys_code(tmp_path: Path, experiment: Experiment) -> None:
    path = save(tmp_path, experiment)
    assert names(path) == sorted(FILES)
    assert path.name == "step-00000001"
    state = torch.load(path / checkpoint.STATE, weights_only=True)
    assert state["step"] == 1
    assert state["extra"] == {"note": "kept"}
    assert equal_bits(checkpoint.read_values(path), state)


def test_equal_weights_are_equal_bytes(tmp_path: Path, experiment: Experiment) -> None:
    paths = [save(tmp_path / str(number), experiment, steps=0) for number in range(8)]
    assert len({(path / checkpoint.WEIGHTS).read_bytes() for path in paths}) == 1


def test_weights_are_read_from_a_folder_whose_name_is_no_text(tmp_path: Path, experiment: Experiment) -> None:
    path = save(tmp_path / os.fsdecode(b"r\xffn"), experiment)
    assert equal_bits(checkpoint.read_tensors(path / checkpoint.WEIGHTS), experiment.state.learner.model.state_dict())


def test_code_in_a_checkpoint_is_refused(tmp_path: Path, experiment: Experiment) -> None:
    path = save(tmp_path, experiment)
    file = io.BytesIO()
    torch.save({"step": 1, "extra": Path("a class of somebody's")}, file)
    (path / checkpoint.STATE).write_bytes(file.getvalue())
    manifest = json.loads((path / checkpoint.MANIFEST).read_text())
    manifest[checkpoint.STATE] = checkpoint.hash_file(path / checkpoint.STATE)
    (path / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(Exception, match="Weights only load failed"):
        checkpoint.load(path, experiment.state)


def test_the_last_and_the_best_are_kept(tmp_path: Path, experiment: Experiment) -> None:
    save(tmp_path, experiment, best=3.0)
    save(tmp_path, experiment)
    assert checkpoint.list_steps(tmp_path) == [1, 2]
    save(tmp_path, experiment)
    assert checkpoint.list_steps(tmp_path) == [1, 3]
    save(tmp_path, experiment, best=2.0)
    assert checkpoint.list_steps(tmp_path) == [4]
    save(tmp_path, experiment)
    assert checkpoint.list_steps(tmp_path) == [4, 5]
    assert checkpoint.read_best(tmp_path) == BestCheckpoint(4, 2.0)
    assert checkpoint.find_folder(tmp_path, "best").name == checkpoint.find_folder(tmp_path, "4").name == "step-00000004"
    assert checkpoint.find_folder(tmp_path, "last").name == "step-00000005"


def test_without_a_validation_best_is_the_last(tmp_path: Path, experiment: Experiment) -> None:
    save(tmp_path, experiment)
    save(tmp_path, experiment)
    assert checkpoint.list_steps(tmp_path) == [2]
    assert checkpoint.find_folder(tmp_path, "best") == checkpoint.find_folder(tmp_path, "last")


def test_what_is_not_there_is_refused(tmp_path: Path, experiment: Experiment) -> None:
    with pytest.raises(RunError, match="holds no checkpoint; where"):
        checkpoint.find_folder(tmp_path, "last")
    save(tmp_path, experiment)
    for which in ("7", "first"):
        with pytest.raises(RunError, match=rf"no checkpoint '{which}'; there are best, last, 1"):
            checkpoint.find_folder(tmp_path, which)


def raising(error: BaseException) -> Callable[..., Any]:
    def stop(*_: Any, **__: Any) -> Any:
        raise error

    return stop


@pytest.mark.parametrize(
    ("owner", "name", "survives"),
    [
        (checkpoint, "save_file", 1),
        (torch, "save", 1),
        (checkpoint, "hash_file", 1),
        (checkpoint, "flush", 1),
        (Path, "rename", 1),
        (checkpoint, "write_durably", 2),
        (checkpoint, "_prune", 2),
    ],
)
def test_a_crash_while_saving_leaves_a_whole_checkpoint(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, survives: int
) -> None:
    save(tmp_path, experiment, best=3.0)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, raising(CrashError()))
        with pytest.raises(CrashError):
            save(tmp_path, experiment, best=2.0)
    last = checkpoint.find_folder(tmp_path, "last")
    assert last.name == f"step-{survives:08d}"
    checkpoint.verify(checkpoint.find_folder(tmp_path, "best"))
    checkpoint.load(last, experiment.state)
    assert experiment.state.step == survives
    save(tmp_path, experiment, steps=2)
    assert names(tmp_path) == sorted({"best.json", f"step-{survives:08d}", f"step-{survives + 2:08d}"})  # and no debris


def test_saving_a_step_again_never_endangers_what_is_there(tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after a step that was just saved saves it again; a folder cannot be replaced by another at once."""
    path = save(tmp_path, experiment)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", raising(CrashError()))
        checkpoint.save(tmp_path, experiment.state, {"note": "kept"})
    checkpoint.verify(path)
    (path / checkpoint.WEIGHTS).write_bytes(b"rotten")
    checkpoint.save(tmp_path, experiment.state, {"note": "kept"})
    checkpoint.verify(path)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_a_damaged_file_is_named_and_nothing_is_loaded(tmp_path: Path, experiment: Experiment, file: str, damage: str) -> None:
    path = save(tmp_path, experiment)
    before = {name: tensor.clone() for name, tensor in experiment.state.learner.state_dict().items()}
    advance(experiment, 1)
    content = (path / file).read_bytes()
    if damage == "delete":
        (path / file).unlink()
    else:
        middle = len(content) // 2
        (path / file).write_bytes(content[:middle] + (bytes([content[middle] ^ 1]) + content[middle + 1 :] if damage == "flip" else b""))
    advanced = {name: tensor.clone() for name, tensor in experiment.state.learner.state_dict().items()}
    with pytest.raises(RunError, match=r"step-00000001: .* is damaged or missing; no checkpoint ") as refused:
        checkpoint.load(path, experiment.state)
    assert file in str(refused.value) or file == checkpoint.MANIFEST
    assert equal_bits(dict(experiment.state.learner.state_dict()), advanced)
    assert not equal_bits(before, advanced)
    assert experiment.state.step == 2


def test_only_what_is_read_must_be_whole(tmp_path: Path, experiment: Experiment) -> None:
    path = save(tmp_path, experiment)
    (path / checkpoint.STATE).unlink()
    assert checkpoint.load_chosen_weights(tmp_path, "last", experiment.state.learner.model) == CheckpointRef("last", 1)
    with pytest.raises(
        RunError, match=r"state\.pt is damaged or missing; no checkpoint is whole that training could go on from; the weights of step 1"
    ):
        checkpoint.load(path, experiment.state)


def test_advice_on_a_damaged_checkpoint_is_about_those_that_are_whole(tmp_path: Path, experiment: Experiment) -> None:
    best = save(tmp_path, experiment, best=1.0)
    last = save(tmp_path, experiment)
    (last / checkpoint.WEIGHTS).write_bytes(b"rotten")
    with pytest.raises(
        RunError, match=r"model\.safetensors is damaged or missing; the weights of step 1 are whole, and --checkpoint 1 reads them"
    ):
        checkpoint.load_chosen_weights(tmp_path, "last", experiment.state.learner.model)
    checkpoint.load_chosen_weights(tmp_path, 1, experiment.state.learner.model)
    with pytest.raises(RunError, match="delete this folder, and `assay resume` goes on from step 1, whose checkpoint is whole"):
        checkpoint.load(last, experiment.state)
    shutil.rmtree(last)
    assert checkpoint.load(checkpoint.find_folder(tmp_path, "last"), experiment.state) == {"note": "kept"}
    (best / checkpoint.WEIGHTS).write_bytes(b"rotten")
    with pytest.raises(RunError, match="no checkpoint of this run is whole; restore this one from a copy, or train the run anew"):
        checkpoint.load(best, experiment.state)


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_cannot_be_read_is_named_and_not_called_damaged(tmp_path: Path, experiment: Experiment, file: str) -> None:
    unreadable = save(tmp_path, experiment) / file
    unreadable.unlink()
    unreadable.symlink_to(file)  # to itself
    with pytest.raises(OSError, match="symbolic links") as refused:
        checkpoint.load(unreadable.parent, experiment.state)
    assert refused.value.filename == str(unreadable)


def test_a_note_of_the_best_that_is_damaged_is_named(tmp_path: Path, experiment: Experiment) -> None:
    save(tmp_path, experiment, best=1.0)
    (tmp_path / checkpoint.BEST).write_text("{")
    with pytest.raises(RunError, match=r"best\.json: is damaged, so the best checkpoint is not known; choose --checkpoint last"):
        checkpoint.find_folder(tmp_path, "best")
    save(tmp_path, experiment)
    assert checkpoint.find_folder(tmp_path, "last").name == "step-00000002"


@pytest.mark.parametrize("change", ["model.width=32", "model.depth=2", "model.head.tied=false"])
def test_weights_of_another_shape_are_refused(text: Path, tmp_path: Path, experiment: Experiment, change: str) -> None:
    path = save(tmp_path, experiment)
    with pytest.raises(RunError, match=r"does not fit the model of this run .*; was config\.toml changed\?"):
        checkpoint.load(path, build(text, change).state)


def full_disk(kind: str) -> Exception:
    """A full disk as each writer reports it: seen with a file system of one megabyte."""
    if kind == "python":
        return OSError(errno.ENOSPC, "No space left on device")
    if kind == "safetensors":
        return checkpoint.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("owner", "name", "kind"),
    [
        (checkpoint, "save_file", "safetensors"),
        (torch, "save", "torch"),
        (checkpoint, "save_file", "python"),
        (checkpoint, "flush", "python"),
    ],
)
def test_a_full_disk_is_an_error_for_people_and_costs_nothing_that_was_saved(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, kind: str
) -> None:
    first = save(tmp_path, experiment)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, raising(full_disk(kind)))
        with pytest.raises(RunError, match=r"step-00000002: cannot be written because the disk is full; make room, then .* `assay resume`"):
            save(tmp_path, experiment)
    assert names(tmp_path) == [first.name]
    checkpoint.verify(first)


def test_a_folder_that_may_not_be_written_is_named_with_the_cause(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "mkdir", raising(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(RunError, match=r"cannot be written because .*permission denied"):
        save(tmp_path, experiment)


def test_a_best_that_is_gone_falls_back_to_the_last(tmp_path: Path, experiment: Experiment) -> None:
    best = save(tmp_path, experiment, best=1.0)
    save(tmp_path, experiment)
    shutil.rmtree(best)
    assert checkpoint.read_best(tmp_path) is None
    assert checkpoint.find_folder(tmp_path, "best") == checkpoint.find_folder(tmp_path, "last")


@pytest.mark.parametrize("manifest", ["{}", "[]", '{"state.pt": "00"}'])
def test_a_manifest_that_does_not_list_the_weights_is_damaged(tmp_path: Path, experiment: Experiment, manifest: str) -> None:
    save(tmp_path, experiment)
    last = checkpoint.find_folder(tmp_path, "last")
    (last / checkpoint.MANIFEST).write_text(manifest)
    with pytest.raises(RunError, match=r"manifest\.json is damaged or missing"):
        checkpoint.verify(last)


@pytest.mark.parametrize("value", [object(), print, lambda: None])
def test_what_a_checkpoint_could_not_give_back_is_refused_with_the_hook(value: Any) -> None:
    checkpoint.refuse_unsavable("fine", {"seen": [1, 2.0, "x", None, {"a": torch.ones(2)}]})
    with pytest.raises(UserError, match="hooks: 'mine' remembers more than numbers"):
        checkpoint.refuse_unsavable("mine", {"x": value})


def test_equal_weights_are_equal_files(tmp_path: Path, experiment: Experiment) -> None:
    folders = [save(tmp_path / str(number), experiment, steps=0) for number in range(6)]  # a hash map orders anew each time
    assert len({(folder / checkpoint.WEIGHTS).read_bytes() for folder in folders}) == 1


def test_a_process_that_died_between_a_checkpoint_and_its_note_is_made_good(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, experiment, best=3.0)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "settle", raising(CrashError()))
        with pytest.raises(CrashError):
            save(tmp_path, experiment, best=2.0)
    assert checkpoint.read_best(tmp_path) == BestCheckpoint(1, 3.0)
    checkpoint.load(checkpoint.find_folder(tmp_path, "last"), experiment.state)
    checkpoint.settle(tmp_path, experiment.state)
    assert checkpoint.read_best(tmp_path) == BestCheckpoint(2, 2.0)
    assert names(tmp_path) == ["best.json", "step-00000002"]


def test_a_process_that_dies_while_it_prunes_leaves_no_half_checkpoint(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, experiment, best=3.0)
    save(tmp_path, experiment, best=2.0)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.shutil, "rmtree", raising(CrashError()))
        patch.setattr(checkpoint, "_write", lambda *_: (tmp_path / "step-00000003").mkdir())
        with pytest.raises(CrashError):
            save(tmp_path, experiment, best=1.0)
    assert checkpoint.list_steps(tmp_path) == [3]


def test_what_to_do_about_a_checkpoint_that_cannot_be_written_depends_on_the_cause_and_on_what_was_saved(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = OSError(errno.EIO, "Input/output error")
    for then in ("mend that, then train again, as nothing was saved before", "mend that, then go on with `assay resume`"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "flush", raising(fault))
            with pytest.raises(RunError, match=f"cannot be written because of this: input/output error; {then}"):
                save(tmp_path, experiment)
        save(tmp_path, experiment)


def test_a_kept_checkpoint_is_never_deleted_and_is_found_by_its_step_or_the_name_of_its_folder(
    tmp_path: Path, experiment: Experiment
) -> None:
    kept = []
    for number in range(1, 6):
        advance(experiment, 1)
        kept.append(checkpoint.save(tmp_path, experiment.state, {}, kept=number in (2, 3)))
    assert checkpoint.list_steps(tmp_path) == [2, 3, 5]
    assert [checkpoint.find_folder(tmp_path, which) for which in (2, "2", "step-2", "step-00000002")] == [kept[1]] * 4
    checkpoint.verify(kept[1])
    with pytest.raises(RunError, match="no checkpoint 'step-4'; there are best, last, 2, 3, 5"):
        checkpoint.find_folder(tmp_path, "step-4")


def test_a_process_that_died_before_it_marked_a_checkpoint_as_kept_is_made_good(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "settle", raising(CrashError()))
        advance(experiment, 1)
        with pytest.raises(CrashError):
            checkpoint.save(tmp_path, experiment.state, {}, kept=True)
    checkpoint.load(checkpoint.find_folder(tmp_path, "last"), experiment.state)
    checkpoint.settle(tmp_path, experiment.state, kept=True)
    save(tmp_path, experiment)
    assert checkpoint.list_steps(tmp_path) == [1, 2]
