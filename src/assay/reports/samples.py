"""What runs wrote at the end of their training, as it is kept in them."""

import re
from typing import NamedTuple

from assay.reports.panels import Key
from assay.runs.checkpoint_ref import step_of
from assay.runs.directory import RunDirectory
from assay.studies.analysis.results import Outcome

LONGEST = 1200  # characters of an arm's samples


class Sample(NamedTuple):
    """The last samples of one run of an arm."""

    name: str  # of the arm, with its number
    run: str
    step: int
    text: str


def samples(outcome: Outcome, keys: dict[str, Key]) -> tuple[Sample, ...]:
    """For each arm that stands out in the pictures: what its first run that wrote anything wrote last."""
    found = []
    for arm in outcome.arms:
        key = keys[arm.name]
        if key.style is None:
            continue
        for run in (*arm.runs, *arm.jobs):
            last = last_sample(run.run)
            if last is not None:
                found.append(Sample(f"{key.number} {arm.name}", run.run.name, *last))
                break
    return tuple(found)


def last_sample(run: RunDirectory) -> tuple[int, str] | None:
    """Step and text of a run's latest samples; None where it wrote none."""
    files = sorted((run.path / "samples").glob("step-*.txt"))
    if not files:
        return None
    text = files[-1].read_text(encoding="utf-8", errors="replace").strip()
    text = re.sub(r"^<start>", "", text, flags=re.MULTILINE).replace("<end>", " ⏎")
    return step_of(files[-1]), text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
