"""`assay bench mixers`: each kind beside full attention, in the terminal, as JSON and in a page."""

from pathlib import Path

import pytest

from assay.core.config import FAMILIES
from assay.tools import bench_mixers
from assay.tools.bench_mixers import STEPS
from assay.tools.bench_process import Configuration, Measurement
from assay.tools.contention import Contention
from assay.views.bench_mixers import MARKS
from support.trained import call

QUIET = Contention(2, 1.9, 0.01, 0.0)
README = Path(__file__).parents[2] / "README.md"
SPEEDS = {"full": 1000, "local": 3000, "latent": 500}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Configuration, int | None]]:
    """What the measuring processes are asked; the model is made small."""
    seen: list[tuple[Configuration, int | None]] = []

    def measure(one: Configuration, precision: str, device: str, steps: int | None) -> Measurement:
        seen.append((one, steps))
        speed = SPEEDS.get(one.mixer, 800)
        return Measurement(one, [one.tokens / speed] * 3, 12_345, 1, speed * 2**20, QUIET)

    monkeypatch.setattr(bench_mixers, "measure_apart", measure)
    monkeypatch.setattr(bench_mixers, "DEPTH", 1)
    monkeypatch.setattr(bench_mixers, "WIDTH", 32)
    return seen


def test_a_kind_is_shown_relative_to_full_attention(asked: list[tuple[Configuration, int | None]]) -> None:
    answer = call("bench", "mixers", "local", "--context", 128)
    assert (answer.code, answer.err) == (0, "")
    full, local = [line.split() for line in answer.out.splitlines() if line.startswith(("full", "local"))]
    assert full[:3] == ["full", "128", "12,345"]
    assert full[4:] == ["1,000", "1.00x", "1,000", "MiB", "1.00x", "33", "KiB"]  # 128 keys and values [32], and positions
    assert local[4:9] == ["3,000", "3.00x", "3,000", "MiB", "3.00x"]
    assert [(one.mixer, one.window, one.batch, steps) for one, steps in asked] == [("full", 128, 32, STEPS), ("local", 128, 32, STEPS)]


@pytest.mark.slow
def test_without_names_every_kind_is_measured_at_three_contexts(
    asked: list[tuple[Configuration, int | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_mixers, "WIDTH", 256)
    found = call("bench", "mixers", "--json", "--context", 32, "--context", 48).json["mixers"]
    kinds = FAMILIES["mixer"].kinds
    assert [row["mixer"] for row in found if row["context"] == 48] == ["full", *(kind for kind in kinds if kind != "full")]
    assert len(found) == 2 * len(kinds) >= 30
    assert all(row["flops_per_token"] > 0 and row["state_bytes"] > 0 for row in found)
    assert bench_mixers.CONTEXTS == (256, 1024, 4096)


def test_the_latent_cache_is_smaller_by_its_formula(asked: list[tuple[Configuration, int | None]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_mixers, "WIDTH", 256)
    full, latent = call("bench", "mixers", "latent", "--context", 40, "--json").json["mixers"]
    position = 8
    assert full["state_bytes"] == 40 * (2 * 256 * 4 + position)
    assert latent["state_bytes"] == 40 * ((64 + 16) * 4 + position)  # R + K_r


def test_the_table_of_a_page_is_written_between_its_marks(asked: list[tuple[Configuration, int | None]], tmp_path: Path) -> None:
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
        (("C1", "--context", "64"), "--context is for `assay bench mixers`; leave it out"),
        (("mixers", "--write", "nowhere.md"), "--write: nowhere.md cannot be read"),
        (("mixers", "--write", str(README)), "has no place for the table; add the lines"),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_measured(
    asked: list[tuple[Configuration, int | None]], arguments: tuple[str, ...], words: str
) -> None:
    answer = call("bench", *arguments)
    assert (answer.code, answer.out, asked) == (2, "", [])
    assert words in answer.err
