"""What TensorBoard reads back from the files of a run."""

from pathlib import Path

import pytest

from assay.tracking.tensorboard import FOLDER, TensorBoard
from tracking.recorded import folder, tell

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read(run: Path) -> EventAccumulator:
    found = EventAccumulator(str(run / FOLDER))
    found.Reload()
    return found


def points(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in found.Scalars(tag)]


def texts(found: EventAccumulator, tag: str) -> list[str]:
    return [event.tensor_proto.string_val[0].decode() for event in found.Tensors(f"{tag}/text_summary")]


def test_every_figure_is_a_curve(tmp_path: Path) -> None:
    run = folder(tmp_path)
    tell(TensorBoard(), run, range(1, 4))
    found = read(run)
    assert points(found, "train/loss") == [(1, 9.9), (2, 9.8), (3, 9.7)]
    assert points(found, "train_pace/tokens") == [(1, 128), (2, 256), (3, 384)]
    assert points(found, "validation/bits_per_byte") == [(3, 1.25)]
    assert points(found, "validation_whole_split/last_bits_per_byte") == [(3, 1.5)]
    assert set(found.Tags()["scalars"]) == {
        "train/loss", "train/router_entropy", "train_pace/epoch", "train_pace/tokens", "train_lr/adamw", "train_gradient_norm/all",
        "train_gradient_norm/embedding", "train_gradient_norm/blocks.0", "train_pace/tokens_per_second", "train_pace/epoch_left",
        "validation/bits_per_byte", "validation/standard_error", "validation/nats_per_token", "validation/coverage",
        "validation_whole_split/best_bits_per_byte", "validation_whole_split/last_bits_per_byte",
    }  # fmt: skip


def test_config_samples_and_final_scores_are_texts_shown_as_they_are(tmp_path: Path) -> None:
    run = folder(tmp_path)
    tell(TensorBoard(), run, range(1, 4))
    found = read(run)
    assert texts(found, "config")[0].startswith("    [model]\n    width = 16\n")
    assert texts(found, "samples") == ["    <start># And *he* said\\x1b[31m\n    \n    言葉"]
    assert "    final/best/bits_per_byte            1.25" in texts(found, "final")[0].splitlines()


def test_resume_replaces_what_lies_beyond_the_checkpoint_and_doubles_nothing(tmp_path: Path) -> None:
    run = folder(tmp_path)
    tell(TensorBoard(), run, range(1, 7), finished=False)
    tell(TensorBoard(), run, range(4, 9))
    found = read(run)
    assert [event.step for event in found.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [event.step for event in found.Scalars("validation/bits_per_byte")] == [8]
