"""`assay bench`: figures, and a word with each that is not to be trusted."""

import json
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from assay.errors import AssayError
from assay.tools import bench, own_process
from assay.tools.bench import measure_apart, measure_peak_apart, measure_speed
from assay.tools.bench_process import Configuration, Measurement, Peak, answer
from assay.tools.contention import Contention
from support.trained import call

TINY = Configuration("T", "tiny", depth=1, heads=2, width=16, window=8, batch=4, vocabulary=11, dropout=0.0)
QUIET, NOISY = Contention(2, 1.9, 0.01, 0.0), Contention(2, 1.0, 0.83, 0.0)
TOO_SHORT = "the measurement was too short (0.10 s); give it more steps"


class Machine:
    """What the measuring processes would have found, and what they were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.peaks: list[Peak] = [Peak(2e11, 2048, 9, QUIET)]
        self.contentions: dict[str, Contention | str] = {}
        self.interrupted_at = ""
        self.asked: list[tuple[Configuration, str, str, int | None]] = []
        monkeypatch.setattr(bench, "measure_peak_apart", lambda precision, device: self.peaks.pop(0))
        monkeypatch.setattr(bench, "measure_apart", self.measure)

    def measure(self, configuration: Configuration, precision: str, device: str, steps: int | None) -> Measurement:
        if configuration.name == self.interrupted_at:
            raise KeyboardInterrupt
        self.asked.append((configuration, precision, device, steps))
        seconds = [configuration.tokens / rate for rate in (10_000, 20_000, 30_000)]
        return Measurement(configuration, seconds, 800_000, 5_000_000, 123 * 2**20, self.contentions.get(configuration.name, QUIET))


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
    assert [(one.name, one.dropout, *rest) for one, *rest in machine.asked] == [
        ("C2", 0.0, "bf16", "cpu", 12),
        ("C1", 0.0, "bf16", "cpu", 12),
    ]
    machine.peaks.append(Peak(2e11, 2048, 9, QUIET))
    call("bench", "C2")
    assert (machine.asked[-1][0].dropout, machine.asked[-1][1], machine.asked[-1][3]) == (0.1, "float32", None)


def test_disturbed_rows_are_flagged_and_told_in_words(machine: Machine) -> None:
    machine.contentions = {"C1": TOO_SHORT, "C2": NOISY, "C3": TOO_SHORT}
    printed = " ".join(call("bench").out.split())
    assert "MiB disturbed C3" in printed
    assert printed.count("MiB disturbed") == 1
    assert "C2 was disturbed: other processes used 0.83 of 2 CPUs." in printed
    assert "more than 5% of the CPUs" in printed
    assert f"Whether other processes disturbed C1, C3 cannot be told: {TOO_SHORT}." in printed


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
    assert third["contention"] == TOO_SHORT


def test_json_is_what_the_function_returns(machine: Machine) -> None:
    told = call("bench", "C1", "--device", "cpu", "--json").json
    machine.peaks.append(Peak(2e11, 2048, 9, QUIET))
    tree = json.loads(json.dumps(measure_speed(["C1"], device="cpu").tree()))
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
    assert "--device: no CUDA device is visible to torch; use cpu" in call("bench", "--device", "cuda").err


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_of_any_width_cuts_nothing_off(machine: Machine, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.contentions = {"C2": NOISY}
    monkeypatch.setenv("COLUMNS", str(width))
    printed = call("bench").out
    assert max(map(len, printed.splitlines())) <= width
    assert "…" not in printed
    for word in ("20,000", "12,000-28,000", "50.0%", "123 MiB", "disturbed"):
        assert word in printed


def test_the_process_answers_with_the_fields_of_a_measurement() -> None:
    tree = json.loads(answer(json.dumps({"configuration": asdict(TINY), "precision": "float32", "device": "cpu", "steps": 10})))
    assert len(tree["seconds"]) == 10
    assert tree.keys() == set(Measurement._fields) - {"configuration"}


def test_a_process_of_its_own_measures() -> None:
    found = measure_apart(TINY, "float32", "cpu", 10)
    assert found.configuration == TINY
    assert len(found.seconds) == 10
    assert found.flops_per_token == 6 * found.parameters + 12 * 16 * 8
    assert isinstance(found.contention, Contention | str)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo first >&2; echo 'ValueError: last' >&2; exit 1", "T could not be measured: ValueError: last"),
        ("kill -9 $$", "code -9; was the"),
    ],
)
def test_a_process_that_fails_is_told(script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_process.sys, "executable", executable(tmp_path, script))
    with pytest.raises(AssayError, match=reason):
        measure_apart(TINY, "float32", "cpu")


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def interrupted(process: subprocess.Popen[str], asked: str, timeout: float | None) -> None:
        begun.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(own_process.sys, "executable", executable(tmp_path, "exec sleep 100"))
    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_peak_apart("float32", "cpu")
    assert [process.returncode for process in begun] == [-signal.SIGKILL]


def executable(folder: Path, script: str) -> str:
    """What stands for Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
