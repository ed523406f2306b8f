"""`assay bench` and `assay bench mixers`: figures, whether they can be trusted, and a page of them."""

import json
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from assay.core.config import FAMILIES
from assay.errors import AssayError
from assay.tools import bench, subprocesses
from assay.tools.bench import STEPS, BenchOptions, measure_in_subprocess, measure_peak_in_subprocess, measure_speed
from assay.tools.bench_process import BenchModel, Measurement, Peak
from assay.tools.contention import Contention
from assay.views.machine import MARKS
from support.trained import call

TINY = BenchModel("T", "tiny", depth=1, heads=2, width=16, window=8, batch=4, vocabulary=11, dropout=0.0)
QUIET, NOISY = Contention(2, 1.9, 0.01, 0.0), Contention(2, 1.0, 0.83, 0.0)
TOO_SHORT = Contention(unknown="the measurement was too short (0.10 s); give it more steps")


class Machine:
    """What the measuring processes would have found, and what they were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.peaks: list[Peak] = [Peak(2e11, 2048, 9, QUIET)]
        self.contentions: dict[str, Contention] = {}
        self.interrupted_at = ""
        self.asked: list[tuple[BenchModel, BenchOptions]] = []
        monkeypatch.setattr(bench, "measure_peak_in_subprocess", lambda options: self.peaks.pop(0))
        monkeypatch.setattr(bench, "measure_in_subprocess", self.measure)

    def measure(self, model: BenchModel, options: BenchOptions) -> Measurement:
        if model.name == self.interrupted_at:
            raise KeyboardInterrupt
        self.asked.append((model, options))
        seconds = [model.tokens / rate for rate in (10_000, 20_000, 30_000)]
        return Measurement(model, seconds, 800_000, 5_000_000, 123 * 2**20, self.contentions.get(model.name, QUIET))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def row(printed: str, name: str) -> Sequence[str]:
    (found,) = [line.split() for line in printed.splitlines() if re.match(rf"{name} +\d", line)]
    return found


def test_each_configuration_has_its_figures(machine: Machine) -> None:
    answer = call("bench", "--device", "cpu")
    assert (answer.code, answer.err) == (0, "")
    # 5 MFLOP x 20,000 tokens/s of 200 GFLOP/s
    assert row(answer.out, "C1") == ["C1", "20,000", "12,000-28,000", "38.4", "50.0%", "123", "MiB"]
    assert "200 GFLOP/s, float32" in answer.out
    assert "6 N + 12 L D T" in answer.out
    assert "resident" in answer.out
    assert "isturbed" not in answer.out
    assert [asked[0].name for asked in machine.asked] == ["C1", "C2", "C3"]


def test_options_reach_the_measuring(machine: Machine) -> None:
    assert call("bench", "C2", "C1", "--precision", "bf16", "--steps", 12, "--device", "cpu", "--no-dropout").code == 0
    asked = BenchOptions("bf16", "cpu", 12)
    assert [(model.name, model.dropout, options) for model, options in machine.asked] == [("C2", 0.0, asked), ("C1", 0.0, asked)]
    machine.peaks.append(Peak(2e11, 2048, 9, QUIET))
    call("bench", "C2")
    model, options = machine.asked[-1]
    assert (model.dropout, options.precision, options.steps) == (0.1, "float32", None)


def test_disturbed_rows_are_flagged_and_told_in_words(machine: Machine) -> None:
    machine.contentions = {"C1": TOO_SHORT, "C2": NOISY, "C3": TOO_SHORT}
    printed = " ".join(call("bench").out.split())
    assert "MiB disturbed C3" in printed
    assert printed.count("MiB disturbed") == 1
    assert "C2 was disturbed: other processes used 0.83 of 2 CPUs." in printed
    assert "more than 5% of the CPUs" in printed
    assert f"Whether other processes disturbed C1, C3 is not known: {TOO_SHORT.unknown}." in printed


@pytest.mark.parametrize(("second", "shown"), [(Peak(3e11, 2048, 9, QUIET), "300"), (Peak(1e11, 2048, 9, QUIET), "200")])
def test_a_disturbed_peak_is_measured_again_and_the_faster_one_counts(machine: Machine, second: Peak, shown: str) -> None:
    machine.peaks = [Peak(2e11, 2048, 9, NOISY), second]
    printed = call("bench", "C1").out
    assert f"{shown} GFLOP/s" in printed
    assert ("The peak was disturbed" in printed) is (shown == "200")
    assert machine.peaks == []


def test_json_has_every_figure_and_the_machine(machine: Machine) -> None:
    machine.contentions = {"C2": NOISY, "C3": TOO_SHORT}
    tree = call("bench", "--json").json
    assert tree["peak"]["flops_per_second"] == 2e11
    assert {"cpu", "cpus", "threads", "torch", "python", "memory_bytes", "gpus", "load"} <= tree["machine"].keys()
    first, second, third = tree["configurations"]
    assert first["tokens_per_second"] == pytest.approx(20_000)
    assert (first["tokens_per_second_10th_percentile"], first["tokens_per_second_90th_percentile"]) == pytest.approx((12_000, 28_000))
    assert (first["share_of_peak"], first["peak_memory_bytes"], len(first["seconds"])) == (pytest.approx(0.5), 123 * 2**20, 3)
    assert (first["depth"], first["vocabulary"], first["dropout"], second["dropout"]) == (4, 65, 0.0, 0.1)
    assert (first["disturbed"], second["disturbed"], third["disturbed"]) == (False, True, None)
    assert second["contention"]["others"] == 0.83
    assert third["contention"] == TOO_SHORT.unknown


def test_json_is_what_the_function_returns(machine: Machine) -> None:
    told = call("bench", "C1", "--device", "cpu", "--json").json
    machine.peaks.append(Peak(2e11, 2048, 9, QUIET))
    tree = json.loads(json.dumps(measure_speed(["C1"], BenchOptions(device="cpu")).to_dict()))
    for one in (told, tree):  # what changes while the machine works
        del one["machine"]["load"], one["machine"]["memory_available_bytes"]
    assert tree == told


def test_ctrl_c_ends_with_what_was_measured(machine: Machine) -> None:
    machine.interrupted_at = "C3"
    answer = call("bench")
    assert (answer.code, answer.err) == (130, "assay: interrupted\n")
    assert row(answer.out, "C2")
    assert "C3" not in answer.out
    machine.peaks.append(Peak(2e11, 2048, 9, QUIET))
    assert call("bench", "--json").out == ""
    machine.peaks.append(Peak(2e11, 2048, 9, QUIET))
    machine.interrupted_at = "C1"
    assert call("bench").out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("C4",), ("no configuration 'C4'", "C1, C2, C3")),
        (("--precision", "b16"), ("--precision", "did you mean 'bf16'?")),
        (("--steps", "9"), ("--steps", "10")),
        (("--device", "cpuu"), ("--device", "no device 'cpuu'")),
    ],
)
def test_a_wrong_argument_is_one_line_with_the_remedy(machine: Machine, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    answer = call("bench", *arguments)
    assert (answer.code, answer.out, machine.asked) == (2, "", [])
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err


def test_no_gpu_names_the_option(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "--device: no device 'cuda' here; this machine has cpu" in call("bench", "--device", "cuda").err


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_of_any_width_cuts_nothing_off(machine: Machine, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.contentions = {"C2": NOISY}
    monkeypatch.setenv("COLUMNS", str(width))
    printed = call("bench").out
    assert max(map(len, printed.splitlines())) <= width
    assert "…" not in printed
    for word in ("20,000", "12,000-28,000", "50.0%", "123 MiB", "disturbed"):
        assert word in printed


@pytest.mark.slow
def test_a_process_of_its_own_measures() -> None:
    found = measure_in_subprocess(TINY, BenchOptions(device="cpu", steps=10))
    assert found.bench_model == TINY
    assert len(found.seconds) == 10
    assert found.flops_per_token == 6 * found.parameters + 12 * 16 * 8
    assert isinstance(found.contention, Contention)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo first >&2; echo 'ValueError: last' >&2; exit 1", "T could not be measured: ValueError: last"),
        ("kill -9 $$", "code -9; was the"),
    ],
)
def test_a_process_that_fails_is_told(script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocesses.sys, "executable", executable(tmp_path, script))
    with pytest.raises(AssayError, match=reason):
        measure_in_subprocess(TINY, BenchOptions(device="cpu"))


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def interrupted(process: subprocess.Popen[bytes], sent: bytes, timeout: float | None) -> None:
        begun.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocesses.sys, "executable", executable(tmp_path, "exec sleep 100"))
    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_peak_in_subprocess(BenchOptions(device="cpu"))
    assert [process.returncode for process in begun] == [-signal.SIGKILL]


def executable(folder: Path, script: str) -> str:
    """What stands for Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


QUIET = Contention(2, 1.9, 0.01, 0.0)
README = Path(__file__).parents[2] / "README.md"
SPEEDS = {"full": 1000, "local": 3000, "latent": 500}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[BenchModel, int | None]]:
    """What the measuring processes are asked; the model is made small."""
    seen: list[tuple[BenchModel, int | None]] = []

    def measure(one: BenchModel, options: BenchOptions) -> Measurement:
        seen.append((one, options.steps))
        speed = SPEEDS.get(one.mixer, 800)
        return Measurement(one, [one.tokens / speed] * 3, 12_345, 1, speed * 2**20, QUIET)

    monkeypatch.setattr(bench, "measure_in_subprocess", measure)
    monkeypatch.setattr(bench, "DEPTH", 1)
    monkeypatch.setattr(bench, "WIDTH", 32)
    return seen


def test_a_kind_is_shown_relative_to_full_attention(asked: list[tuple[BenchModel, int | None]]) -> None:
    answer = call("bench", "mixers", "local", "--context", 128)
    assert (answer.code, answer.err) == (0, "")
    full, local = [line.split() for line in answer.out.splitlines() if line.startswith(("full", "local"))]
    assert full[:3] == ["full", "128", "12,345"]
    assert full[4:] == ["1,000", "1.00x", "1,000", "MiB", "1.00x", "33", "KiB"]  # 128 keys and values [32], and positions
    assert local[4:9] == ["3,000", "3.00x", "3,000", "MiB", "3.00x"]
    assert [(one.mixer, one.window, one.batch, steps) for one, steps in asked] == [("full", 128, 32, STEPS), ("local", 128, 32, STEPS)]


@pytest.mark.slow
def test_without_names_every_kind_is_measured_at_three_contexts(
    asked: list[tuple[BenchModel, int | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "WIDTH", 256)
    found = call("bench", "mixers", "--json", "--context", 32, "--context", 48).json["mixers"]
    kinds = FAMILIES["mixer"].kinds
    assert [row["mixer"] for row in found if row["context"] == 48] == ["full", *(kind for kind in kinds if kind != "full")]
    assert len(found) == 2 * len(kinds) >= 30
    assert all(row["flops_per_token"] > 0 and row["state_bytes"] > 0 for row in found)
    assert bench.CONTEXTS == (256, 1024, 4096)


def test_the_latent_cache_is_smaller_by_its_formula(asked: list[tuple[BenchModel, int | None]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "WIDTH", 256)
    full, latent = call("bench", "mixers", "latent", "--context", 40, "--json").json["mixers"]
    position = 8
    assert full["state_bytes"] == 40 * (2 * 256 * 4 + position)
    assert latent["state_bytes"] == 40 * ((64 + 16) * 4 + position)  # R + K_r


def test_the_table_of_a_page_is_written_between_its_marks(asked: list[tuple[BenchModel, int | None]], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    assert call("bench", "mixers", "local", "--context", 64, "--context", 32, "--write", page).code == 0
    text = page.read_text()
    assert text.startswith(f"before\n{MARKS[0]}\n")
    assert text.endswith(f"{MARKS[1]}\nafter\n")
    assert "old" not in text
    assert text.count("| `local` | 12,345 |") == 2
    assert "Context 64:" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mixers", "lokal"), "no mixer 'lokal'; did you mean 'local'?"),
        (("mixers", "--no-dropout"), "--no-dropout: mixers are always compared without dropout; leave it out"),
        (("C1", "--context", "64"), "--context: is for `assay bench mixers`; leave it out"),
        (("mixers", "--write", "nowhere.md"), "--write: nowhere.md cannot be read"),
        (("mixers", "--write", str(README)), "has no place for the table; add the lines"),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_measured(
    asked: list[tuple[BenchModel, int | None]], arguments: tuple[str, ...], words: str
) -> None:
    answer = call("bench", *arguments)
    assert (answer.code, answer.out, asked) == (2, "", [])
    assert words in answer.err
