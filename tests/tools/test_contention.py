"""Disturbance is told from the system's own counters, and not told where they do not tell."""

from pathlib import Path

import pytest

from assay.tools import contention
from assay.tools.contention import DISTURBANCE_RULE, Contention, CpuTimes, measure_contention, read_cpu_times

TICKS = 100  # a second, as `two_cpus` makes it
BEFORE = CpuTimes(wall=10.0, process=5.0, busy=50.0, stolen=1.0)


@pytest.fixture(autouse=True)
def _two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "usable_cpus", lambda: [0, 2])
    monkeypatch.setattr(contention, "cpu_count", lambda: 2)
    monkeypatch.setattr(contention.os, "sysconf", lambda name: TICKS)


def after(*, own: float, busy: float, stolen: float = 0.0, seconds: float = 2.0) -> CpuTimes:
    return CpuTimes(BEFORE.wall + seconds, BEFORE.process + own, BEFORE.busy + busy, BEFORE.stolen + stolen)


def test_only_the_cpus_that_may_be_used_are_counted_and_guests_once(tmp_path: Path) -> None:
    counters = tmp_path / "stat"
    counters.write_text(
        "cpu  9 9 9 9 9 9 9 9 9 9\n"
        "cpu0 100 200 300 9999 7777 400 500 600 100 0\n"  # user nice system idle iowait irq softirq steal guest guest_nice
        "cpu1 5000 5000 5000 0 0 0 0 5000 0 0\n"
        "cpu2 10 20 30 9999 7777 40 50 60 10 0\n"
        "intr 17\n"
    )
    found = read_cpu_times(counters)
    assert found.busy == pytest.approx((1500 + 150) / TICKS)
    assert found.stolen == pytest.approx(660 / TICKS)


def test_what_is_not_ours_is_the_others() -> None:
    found = measure_contention(BEFORE, after(own=3.0, busy=3.5, stolen=0.5))
    assert found.unknown == ""
    assert found[:4] == pytest.approx((2, 1.5, 0.25, 0.25))
    assert str(found) == "other processes used 0.25 of 2 CPUs, 0.25 were stolen by other virtual machines"


@pytest.mark.parametrize(
    ("cpus", "others", "stolen", "disturbed"),
    [(2, 0.09, 0.03, False), (2, 0.11, 0.0, True), (2, 0.0, 0.05, True), (64, 0.45, 1.0, False), (64, 0.55, 0.0, True)],
)
def test_disturbed_is_as_the_rule_says(cpus: int, others: float, stolen: float, disturbed: bool) -> None:
    assert Contention(cpus, 1.0, others, stolen).disturbed is disturbed
    assert all(word in DISTURBANCE_RULE for word in ("5%", "0.5", "2%"))


def test_clocks_that_are_read_at_slightly_different_moments_give_nothing_negative() -> None:
    assert measure_contention(BEFORE, after(own=4.0, busy=3.99)) == Contention(2, 2.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (CpuTimes(12.0, 6.0, None, None), "does not show"),
        (after(own=2.0, busy=0.0), "does not show"),  # counters of a sandbox, which stand still
        (after(own=0.4, busy=0.4, seconds=0.2), "too short (0.20 s)"),
    ],
)
def test_what_cannot_be_told_is_said(then: CpuTimes, reason: str) -> None:
    found = measure_contention(BEFORE, then)
    assert found.disturbed is None
    assert reason in found.unknown


def test_elsewhere_than_on_linux_the_clocks_do_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_cpu_times(tmp_path / "missing")[2:] == (None, None)
    (tmp_path / "stat").write_text("cpu0 1 1 1 1 1 1 1 1 1 1\n")
    monkeypatch.setattr(contention, "usable_cpus", lambda: None)
    assert read_cpu_times(tmp_path / "stat")[2:] == (None, None)
