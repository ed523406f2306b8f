"""`assay compress` and `assay decompress`: files, messages, and another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.compression.header import HEADER_BYTES
from assay.core.install import write_assay_line
from assay.tools import compress as command
from support.lab import Lab
from support.trained import TEXT, Answer, call

PLAIN = TEXT.encode()[:600] + b"\xff no text"
FIGURES = {
    "output", "bytes", "predicted_bits", "header_bytes", "raw_bytes", "ratio", "bits_per_byte", "weights_bytes", "ratio_with_model",
    "bits_per_byte_with_model", "baselines", "rank_bytes", "tokens", "streams", "context", "stride", "seconds", "tokens_per_second",
    "verified",
}  # fmt: skip


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain"
    path.write_bytes(PLAIN)
    return path


def packed(plain: Path, *options: object) -> Answer:
    return call("compress", plain, "--model", "last", "-o", plain.with_suffix(".z"), *options)


def unpacked(plain: Path, *options: object) -> Answer:
    return call("decompress", plain.with_suffix(".z"), "--model", "last", "-o", plain.with_suffix(".back"), *options)


def test_the_size_is_what_the_model_predicts_and_every_figure_follows_from_it(lab: Lab, plain: Path) -> None:
    told = packed(plain, "--json", "--verify").json
    assert told.keys() == FIGURES
    assert told["bytes"] == plain.with_suffix(".z").stat().st_size
    assert told["header_bytes"] == HEADER_BYTES
    assert told["bytes"] == pytest.approx(told["predicted_bits"] / 8 + told["header_bytes"], rel=1e-3, abs=64)
    assert told["raw_bytes"] == told["tokens"] == len(PLAIN)
    assert told["bits_per_byte"] == pytest.approx(8 * told["ratio"])
    assert told["ratio_with_model"] == (told["bytes"] + told["weights_bytes"]) / len(PLAIN)
    assert told["weights_bytes"] > 1000
    assert told["baselines"].keys() == {"xz", "bz2", "zstd"}
    assert told["verified"] is True


@pytest.mark.slow
def test_another_process_with_other_threads_brings_the_file_back(lab: Lab, plain: Path) -> None:
    assert packed(plain).code == 0
    back = plain.with_suffix(".back")
    arguments = ["decompress", plain.with_suffix(".z"), "--model", lab.run, "-o", back]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-m", "assay", *map(str, arguments)], check=True, env=environment, capture_output=True)
    assert back.read_bytes() == PLAIN


def test_a_stride_makes_it_smaller_and_it_comes_back_without_being_told(lab: Lab, plain: Path) -> None:
    told = packed(plain, "--stride", 4, "--json").json
    assert (told["stride"], told["context"]) == (4, 16)
    assert unpacked(plain).code == 0
    assert plain.with_suffix(".back").read_bytes() == PLAIN


def test_people_are_told_the_same(lab: Lab, plain: Path) -> None:
    printed = packed(plain).out
    for word in ("predicted by the model", "this model and its weights", "ranks of the same model", "xz -9e", "zstd -19", "raw"):
        assert word in printed
    assert f"{len(PLAIN):,} bytes, as they were" in unpacked(plain).out


def test_an_empty_file_has_no_rate(lab: Lab, plain: Path) -> None:
    plain.write_bytes(b"")
    told = packed(plain, "--json").json
    assert (told["bytes"], told["ratio"], told["predicted_bits"]) == (HEADER_BYTES, None, 0)
    assert packed(plain, "--force").code == 0
    assert unpacked(plain).code == 0
    assert plain.with_suffix(".back").read_bytes() == b""


@pytest.mark.parametrize("place", [0, 6, 20, HEADER_BYTES - 1, HEADER_BYTES + 3, -1])
def test_a_flipped_bit_is_an_error_and_writes_nothing(lab: Lab, plain: Path, place: int) -> None:
    packed(plain)
    data = bytearray(plain.with_suffix(".z").read_bytes())
    data[place] ^= 4
    plain.with_suffix(".z").write_bytes(data)
    answer = unpacked(plain)
    assert answer.code == 2
    assert answer.err.startswith(f"assay: error: {plain.with_suffix('.z')}: it ")
    assert sorted(path.name for path in plain.parent.iterdir()) == ["plain", "plain.z"]


def test_another_checkpoint_is_refused(lab: Lab, plain: Path) -> None:
    packed(plain, "--checkpoint", 8)
    other = call("train", lab.recipe, "--seed", 5, "train.budget=1step", "--json", "--runs-dir", lab.folder / "others").json["run"]
    answer = call("decompress", plain.with_suffix(".z"), "--model", other, "-o", plain.with_suffix(".back"))
    assert answer.code == 2
    assert "it was compressed with the model" in answer.err
    assert not plain.with_suffix(".back").exists()


def test_files_are_not_overwritten_unless_forced(lab: Lab, plain: Path) -> None:
    target = plain.with_suffix(".z")
    target.write_bytes(b"precious")
    assert f"{target} exists; name another file with -o, or overwrite it with --force" in packed(plain).err
    assert target.read_bytes() == b"precious"
    assert packed(plain, "--force").code == 0
    assert call("compress", plain, "--model", "last", "-o", plain, "--force").err.startswith(
        f"assay: error: {plain} is the file that is read"
    )
    assert plain.read_bytes() == PLAIN


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file": "absent"}, "absent cannot be read (no such file or directory)"),
        ({"-o": "/dev/null", "--force": None}, "/dev/null is no ordinary file"),
        ({"-o": "nowhere/out"}, "nowhere is no folder"),
        ({"--stride": 17}, "stride: 17 exceeds the context of 16 tokens"),
        ({"--policy": "strided"}, "stride: is missing, and the policy strided needs it"),
        ({"--policy": "streams"}, "policy: streams carry state through the whole text"),
        ({"--model": "none"}, "no run 'none'"),
        ({"--checkpoint": "3"}, "no checkpoint '3'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(lab: Lab, plain: Path, changes: dict[str, object], reason: str) -> None:
    options = {"file": plain, "--model": "last", "-o": plain.with_suffix(".z"), **changes}
    words = [word for name, value in options.items() if name != "file" for word in (name, value) if word is not None]
    answer = call("compress", options["file"], *words)
    assert answer.code == 2
    assert reason in answer.err
    assert not plain.with_suffix(".z").exists()


def test_ctrl_c_leaves_nothing_behind(lab: Lab, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.os, "fsync", interrupted)  # in the middle of writing
    assert packed(plain).code == 130
    assert [path.name for path in plain.parent.iterdir()] == ["plain"]


def test_without_the_library_the_install_line_is_given(lab: Lab, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "constriction", None)
    answer = packed(plain)
    assert (answer.code, answer.out) == (2, "")
    assert f"install it with: {write_assay_line('compress')}" in answer.err
