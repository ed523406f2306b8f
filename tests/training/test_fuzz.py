"""Whatever is in the files of a checkpoint, what reads them restores it or says in one sentence that it cannot."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import RunError
from assay.experiment.assemble import Experiment
from assay.training import checkpoint
from assay.training.loop import train_step
from support.experiment import build, write_text
from support.fuzz import BYTES, FEW, MANY, VALUES, accept_or_refuse, change, mutate, write_json

FILES = (checkpoint.WEIGHTS, checkpoint.STATE, checkpoint.MANIFEST, checkpoint.BEST)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(folder / "cache"))
        experiment = build(write_text(folder))
    train_step(experiment.state, experiment.setup)
    experiment.state.set_best(2.0)
    checkpoint.save(folder / "whole", experiment.state, {"note": "kept"})
    return experiment, folder


def damage(saved: tuple[Experiment, Path], data: st.DataObject, name: str, changes: list[tuple[int, str, bytes]]) -> None:
    """Damage a file, whose sum its manifest may have all the same, as that of one who wants it to be read."""
    experiment, folder = saved
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "whole", copy)
    (step,) = (path for path in copy.iterdir() if path.is_dir())
    file = copy / name if name == checkpoint.BEST else step / name
    content = file.read_bytes()
    if file.suffix == ".json" and data.draw(st.booleans()):
        file.write_bytes(write_json(mutate(json.loads(content), data.draw)))
    elif name == checkpoint.WEIGHTS and data.draw(st.booleans()):
        size = int.from_bytes(content[:8], "little")
        header = write_json(mutate(json.loads(content[8 : 8 + size]), data.draw))
        file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])
    else:
        file.write_bytes(change(content, changes))
    if name in (checkpoint.WEIGHTS, checkpoint.STATE):
        manifest = json.loads((step / checkpoint.MANIFEST).read_text())
        (step / checkpoint.MANIFEST).write_bytes(write_json({**manifest, name: hashlib.sha256(file.read_bytes()).hexdigest()}))
    accept_or_refuse(lambda: checkpoint.load(step, experiment.state))
    for which in ("best", "last", "average"):
        accept_or_refuse(lambda which=which: checkpoint.load_chosen_weights(copy, which, experiment.state.learner.model))


@FEW
@given(data=st.data(), name=st.sampled_from(FILES), changes=BYTES)
def test_damaged_checkpoints(saved: tuple[Experiment, Path], data: st.DataObject, name: str, changes: list[tuple[int, str, bytes]]) -> None:
    damage(saved, data, name, changes)


@pytest.mark.slow
@MANY
@given(data=st.data(), name=st.sampled_from(FILES), changes=BYTES)
def test_many_damaged_checkpoints(
    saved: tuple[Experiment, Path], data: st.DataObject, name: str, changes: list[tuple[int, str, bytes]]
) -> None:
    damage(saved, data, name, changes)


@pytest.mark.parametrize("state", [{}, [], {"extra": {}}, {"extra": [], "step": 1}, 5, {"extra": {}, "step": "one", "optimizer": {}}])
def test_a_state_of_another_shape_is_refused(saved: tuple[Experiment, Path], tmp_path: Path, state: Any) -> None:
    experiment, folder = saved
    (step,) = (path for path in (folder / "whole").iterdir() if path.is_dir())
    copy = tmp_path / step.name
    shutil.copytree(step, copy)
    torch.save(state, copy / checkpoint.STATE)
    manifest = json.loads((copy / checkpoint.MANIFEST).read_text())
    sums = {**manifest, checkpoint.STATE: hashlib.sha256((copy / checkpoint.STATE).read_bytes()).hexdigest()}
    (copy / checkpoint.MANIFEST).write_bytes(write_json(sums))
    with pytest.raises(RunError, match=r"state\.pt is not a training state of Assay"):
        checkpoint.load(copy, experiment.state)


@FEW
@given(which=st.text(max_size=5) | VALUES.map(str) | st.sampled_from(("²", "9" * 5000, "-1", "01")))
def test_any_name_of_a_checkpoint(saved: tuple[Experiment, Path], which: str) -> None:
    accept_or_refuse(lambda: checkpoint.resolve(saved[1] / "whole", which))
