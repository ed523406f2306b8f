"""`assay doctor`: each finding with its mark, and a remedy with each problem."""

import re
from collections import namedtuple
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from rich.console import Console

from assay.core.devices import MatmulSpeed
from assay.core.install import write_assay_line, write_install_line
from assay.core.machine import Gpu, Memory
from assay.tools import doctor
from assay.tools.contention import Contention
from assay.tools.doctor import (
    MachineCheck,
    check_bible,
    check_extras,
    check_folder,
    check_gpus,
    check_memory,
    check_processor,
    check_software,
    check_speed,
    check_texts,
)
from assay.training.precision import choose_precision
from assay.views.machine import build_table
from support.lab import Lab
from support.trained import call

GIB = 2**30
Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture(autouse=True)
def _a_machine_that_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor, "measure_matmul_speed", lambda precision, device, seconds: MatmulSpeed({"float32": 2e11, "bf16": 4e11}[precision], 2048, 5)
    )
    monkeypatch.setattr(doctor, "read_memory", lambda: Memory(16 * GIB, 8 * GIB))
    monkeypatch.setattr(doctor, "cpu_count", lambda: 1)
    monkeypatch.setattr(doctor, "cpu_quota", lambda: None)
    monkeypatch.setattr(doctor.torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(100 * GIB, 50 * GIB, 50 * GIB))


def only(findings: Iterable[MachineCheck]) -> MachineCheck:
    (found,) = findings
    return found


def test_a_ready_machine_ends_with_0_and_says_so(lab: Lab) -> None:
    answer = call("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "ready"
    for topic in ("Python", "Assay", "torch", "processor", "memory", "GPU", "speed, cpu", "runs folder", "cache folder", "Bible", "enwik8"):
        assert re.search(rf"^(ok|note) +{topic}  ", answer.out, re.MULTILINE), topic
    assert "float32 200 GFLOP/s, bf16 400 GFLOP/s, 2.0 times; bf16 pays" in answer.out
    assert "\x1b" not in answer.out
    assert not (lab.folder / "cache" / "absent").exists()


def test_json_is_one_document(lab: Lab) -> None:
    tree = call("doctor", "--json").json
    assert tree["ready"] is True
    assert {check["severity"] for check in tree["checks"]} <= {"ok", "note"}
    assert "cpu" in tree["machine"]


def test_a_problem_ends_with_1_and_names_the_remedy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(lab.recipe / "inside-a-file"))
    answer = call("doctor")
    assert answer.code == 1
    assert re.search(r"problem +cache folder", answer.out)
    assert "ASSAY_CACHE=DIR" in answer.out
    assert answer.out.splitlines()[-1] == "1 problem, see above"
    assert call("doctor", "--json").code == 1


@pytest.mark.parametrize("width", [60, 200])
def test_the_page_fits_and_keeps_every_word(lab: Lab, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    printed = call("doctor").out
    assert max(map(len, printed.splitlines())) <= width
    assert "…" not in printed
    monkeypatch.setenv("COLUMNS", "5000")
    assert sorted("".join(printed.split())) == sorted("".join(call("doctor").out.split()))


def test_marks_are_coloured_in_a_terminal() -> None:
    out = Console(force_terminal=True, color_system="standard", width=80)
    with out.capture() as captured:
        out.print(build_table([MachineCheck("a", "ok", "x"), MachineCheck("b", "note", "y"), MachineCheck("c", "problem", "z", "do this")]))
    good, note, bad, remedy = captured.get().splitlines()
    assert good.startswith("\x1b[32mok")
    assert note.startswith("\x1b[33mnote")
    assert bad.startswith("\x1b[1;31mproblem")
    assert "-> do this" in remedy


def test_threads_are_held_against_the_cpus_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert check_processor(8, None, 8).severity == "ok"
    assert check_processor(8, None, 4).severity == "ok"  # one thread a core, where cores do two things at once
    crowded = check_processor(8, 1.6, 8)
    assert (crowded.severity, "OMP_NUM_THREADS=2" in crowded.remedy, "given 1.6" in crowded.fact) == ("problem", True, True)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    idle = check_processor(8, None, 1)
    assert (idle.severity, idle.remedy) == ("note", "unset OMP_NUM_THREADS to use all 8")


@pytest.mark.parametrize(
    ("found", "mark"),
    [
        (Memory(16 * GIB, GIB // 2), "problem"),
        (Memory(16 * GIB, 2 * GIB), "ok"),
        (Memory(8 * GIB, None), "ok"),
        (Memory(None, None), "note"),
    ],
)
def test_little_memory_is_a_problem(found: Memory, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "read_memory", lambda: found)
    assert check_memory().severity == mark
    assert bool(check_memory().remedy) is (mark == "problem")


def test_gpus_are_told_with_their_abilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "list_gpus", lambda: [Gpu("H", 80 * GIB, "9.0", bf16=True), Gpu("T", 15 * GIB, "7.5", bf16=False)])
    new, old = check_gpus()
    assert new.fact == "H, 80.0 GiB, compute capability 9.0, bf16"
    assert "no bf16: keep train.precision=float32" in old.fact
    monkeypatch.setattr(doctor, "list_gpus", list)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert only(check_gpus()).severity == "ok"
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert (only(check_gpus()).severity, "built for CUDA" in only(check_gpus()).remedy) == ("note", True)


def test_speed_says_which_format_pays_and_whether_to_believe_it() -> None:
    quiet = Contention(2, 2.0, 0.0, 0.0)
    cpu = torch.device("cpu")
    assert "train.precision=bf16" in check_speed(cpu, 2e11, 3e11, quiet).fact
    assert "train.precision=float32" in check_speed(cpu, 2e11, 2.2e11, quiet).fact
    assert "790 TFLOP/s" in check_speed(cpu, 5e13, 7.9e14, quiet).fact
    assert check_speed(cpu, 2e11, 3e11, Contention(unknown="this system does not tell")).severity == "ok"
    assert f"auto takes {choose_precision('auto', cpu)}" in check_speed(cpu, 2e11, 3e11, quiet).fact
    busy = check_speed(cpu, 2e11, 3e11, Contention(2, 1.0, 0.9, 0.0))
    assert (busy.severity, "0.90 of 2 CPUs" in busy.remedy) == ("note", True)


def test_a_folder_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    found = check_folder("runs folder", tmp_path / "a" / "b", "--runs-dir DIR")
    assert (found.severity, found.fact) == ("ok", f"{tmp_path / 'a' / 'b'} (not made yet), 50.0 GiB free")
    assert list(tmp_path.iterdir()) == []
    assert check_folder("runs folder", tmp_path, "").fact == f"{tmp_path}, 50.0 GiB free"


@pytest.mark.parametrize(("free", "mark"), [(50 * 2**20, "problem"), (GIB, "note"), (3 * GIB, "ok")])
def test_a_full_disk_is_seen(free: int, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(100 * GIB, 0, free))
    found = check_folder("runs folder", tmp_path, "--runs-dir DIR")
    assert (found.severity, "--runs-dir DIR" in found.remedy) == (mark, mark != "ok")


def test_a_folder_that_may_not_be_written_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(dir: Path) -> None:  # noqa: A002 (tempfile's own name)
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    found = check_folder("cache folder", tmp_path, "ASSAY_CACHE=DIR")
    assert (found.severity, found.fact) == ("problem", f"{tmp_path}: permission denied")


def test_texts_are_found_packed_or_not_in_sub_folders(tmp_path: Path) -> None:
    for name in ("a/enwik8", "a/enwik8.xz", "a/input.txt", "b/input.txt.gz", "b/other.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 2**20)
    found = {finding.topic: finding for finding in check_texts(tmp_path)}
    assert found["enwik8"].severity == "ok"
    assert found["enwik8"].fact == f"{tmp_path / 'a' / 'enwik8'}, 1 MiB, {tmp_path / 'a' / 'enwik8.xz'}, 1 MiB"
    assert (found["input.txt"].severity, found["input.txt"].remedy) == ("note", "name one of them with corpus.path=FILE")
    assert (found["titles.tsv"].severity, "not found" in found["titles.tsv"].fact) == ("note", True)


def test_a_data_folder_that_is_none_is_a_problem_and_no_data_folder_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(check_texts(tmp_path / "absent")).severity == "problem"
    assert {finding.severity for finding in check_texts(None)} == {"note"}
    assert call("doctor", "--data-dir", tmp_path / "absent").code == 1
    monkeypatch.setenv("ASSAY_DATA", str(tmp_path / "absent"))
    assert call("doctor").code == 1


def test_a_bible_that_is_missing_or_another_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "read_verses", list)
    found = check_bible()
    assert (found.topic, found.severity, found.remedy) == ("Bible", "problem", f"run: {write_install_line('pythonbible-akjv==0.0.2')}")
    assert "holds another text" in found.fact


def test_extras_tell_what_is_missing_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "torch>=2.6",
        'rich>=13; extra == "plots"',
        "no-such-package[fast]>=1; extra == 'hub'",
        'neither.this ; extra == "hub"',
        'windows-only; sys_platform == "win32" and extra == "hub"',
        'assay[hub,plots]; extra == "all"',
    ]
    monkeypatch.setattr(doctor, "requires", lambda name: lines)
    found = {finding.topic: finding for finding in check_extras()}
    assert set(found) == {"extra plots", "extra hub", "extra all"}
    assert found["extra plots"] == MachineCheck("extra plots", "ok", "rich")
    assert found["extra hub"].fact == "missing: neither.this, no-such-package"
    assert found["extra hub"].remedy == f"only if you want it: {write_assay_line('hub')}"
    assert found["extra all"].fact == "missing: neither.this, no-such-package"


def test_extras_are_those_of_the_installed_package() -> None:
    assert {"extra dev", "extra docs"} <= {finding.topic for finding in check_extras()}


def test_a_package_that_is_not_installed_or_stale_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", lambda name: "0.0.0")
    assert [finding.severity for finding in check_software()] == ["ok", "note", "ok"]
    monkeypatch.setattr(doctor, "version", missing)
    assert [finding.severity for finding in check_software()] == ["ok", "problem", "ok"]
