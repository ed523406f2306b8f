"""Studies for reports: made by hand, with samples, positions, gradient norms and baselines beside their figures."""

import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from assay.reports.content import ReportContent, compose_report
from assay.runs.directory import list_runs
from assay.studies.analysis.outcome import read_study
from assay.studies.analysis.results import StudyOutcome
from assay.studies.plan import PlannedArm
from assay.tools.report import gather_baselines, gather_token_losses
from support.made_study import arm, deep, fast, made

ARMS = (arm(), deep(2, parameters=20_000), deep(4, parameters=40_000), fast(0.01))
RATES = {"base": 2.0, "depth=2": 1.9, "depth=4": 1.85, "lr=0.01": 2.1}
EVIL = "<script>alert(1)</script> \"quoted\" & 'more'"


def rate(name: str, seed: int, factor: float) -> float:
    """Bits per byte about that of the arm, best with the learning rate as it is."""
    noise = float(np.random.default_rng([seed, *name.encode()]).normal(0, 0.01))
    return RATES.get(name, 2.0 + len(name) / 400) + noise + 0.05 * abs(factor - 1)


TOKENS = [["In", 0.25, 1], [f" the {EVIL}", 1.5, 1], ["é", 9.0, 2], ["\n", 3.0, 1]]


def study(folder: Path, arms: Sequence[PlannedArm] = ARMS, leave: Sequence[str] = (), **said: Any) -> StudyOutcome:
    """A study with everything that a report can show; its texts were read when it still had weights."""
    made(folder, arms, rate, leave, **said)
    for run in list_runs(folder):
        (run.path / "samples").mkdir()
        (run.path / "samples" / "step-00000050.txt").write_text(f"<start>In the {EVIL} beginning<end>\n")
        run.write_json("baselines.json", {"uniform": 8.0, "unigram": 4.4, "xz": 2.3, "ngram": 1.95})
        run.write_json(
            "reading-best.json", {"format": 1, "checkpoint": {"kind": "best", "step": 50}, "texts_sha256": "aa", "documents": [TOKENS] * 2}
        )
        norms = {"embedding": 0.5, "blocks.0": 0.1, "blocks.1": 0.2}
        run.append_line("metrics.jsonl", {"step": 50, "targets": 50_000, "loss": 2.5, "gradient_norms": norms})
        for file in (run.path / "scores").glob("*.json"):
            figures = json.loads(file.read_text())
            rows = [{"name": name, "bits_per_byte": 3.0 - place / 4} for place, name in enumerate(("1", "2", "3-4", "5-8"))]
            file.write_text(json.dumps({**figures, "by_position": rows}))
    return read_study(folder)


def reported(outcome: StudyOutcome) -> ReportContent:
    """What a report says of it."""
    return compose_report(outcome, "Study made", gather_baselines(outcome, None), gather_token_losses(outcome, None))


class Page(HTMLParser):
    """What a test looks for in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")
