"""A study's folder as it is after its runs, made by hand: plan, runs, scores, curves. Nothing is trained."""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import recipe
from assay.core.trees import Tree
from assay.experiment.config import ExperimentConfig
from assay.runs.directory import RunDirectory
from assay.studies.analysis.results import ArmOutcome, LearningCurve, ResourceUse, RunOutcome
from assay.studies.file import StudyConfig
from assay.studies.plan import PlannedArm, PlannedJob, StudyPlan
from assay.studies.planning import begin_plan
from assay.variation.metric import METRICS
from assay.variation.names import BASE
from support.scores import keep, sizes_of, stored
from support.trained import RECIPE

SIZES = sizes_of(60)
DIFFICULTY = np.random.default_rng(1).normal(1, 0.2, len(SIZES))
Rate = Callable[[str, int, float], float | tuple[float, float]]  # arm, seed, factor -> bits per byte, or those of validation and test
PART: Tree = {"documents": 100, "bytes": 40_000, "tokens": 20_000, "sha256": "ee" * 32}
FACTS: Tree = {
    "assay": "0.5.0", "code": "ab" * 32, "platform": "Linux", "cpus": 2, "threads": 1, "gpus": [], "packages": {"torch": "2.13.0"},
    "data": {"fingerprint": "ff" * 32, "parts": {"train": PART}},
}  # fmt: skip


def arm(name: str = BASE, values: Mapping[str, Any] | None = None, **known: Any) -> PlannedArm:
    """An arm of the tiny recipe with these keys set."""
    values = dict(values or {})
    written = [f"{key}={json.dumps(value)}" if not isinstance(value, str) else f"{key}={value}" for key, value in values.items()]
    config = ExperimentConfig.make(recipe.apply_overrides(tomllib.loads(RECIPE), written))
    axis = next(iter(values)) if len(values) == 1 else None
    costs = {"parameters": 10_000, "flops_per_token": 60_000, "state_bytes": 2_048, "vocabulary": 257, **known}
    return PlannedArm(name, axis, values, config, {}, **costs)


def deep(depth: int, **known: Any) -> PlannedArm:
    """An arm of another architecture."""
    return arm(f"depth={depth}", {"model.depth": depth}, **known)


def fast(lr: float, **known: Any) -> PlannedArm:
    """An arm of the same architecture with another learning rate."""
    return arm(f"lr={lr}", {"optimizer.lr": lr}, **known)


def laid_plan(arms: Sequence[PlannedArm], **said: Any) -> StudyPlan:
    """The plan of a study of these arms, the base first."""
    axes: dict[str, list[Any]] = {}
    for one in arms:
        for key, value in one.values.items():
            if one.axis is not None or said.get("mode") in ("grid", "pairs"):
                axes.setdefault(key, []).append(value)
    axes = {key: [value for place, value in enumerate(values) if value not in values[:place]] for key, values in axes.items()}
    study = {"question": "Which is best?", "base": "tiny.toml", "seeds": [0, 1, 2], "report_on": "validation", "axes": axes, **said}
    return begin_plan("made", None, StudyConfig.make(study), arms)


def made(folder: Path, arms: Sequence[PlannedArm], rate: Rate, leave: Sequence[str] = (), **said: Any) -> Path:
    """A study whose runs are all finished, but for those whose names begin with one of `leave`, which are not begun."""
    plan = laid_plan(arms, **said)
    for _ in range(2):  # where learning rates are tried, the second round holds the runs that follow from the first
        for job in plan.jobs:
            if not any(job.run.startswith(name) for name in leave) and not (folder / job.run).exists():
                write_run(folder, plan, job, rate(job.arm, job.seed, job.lr_factor))
        plan = plan.extend(folder)
    plan.write(folder)
    return folder


def write_run(folder: Path, plan: StudyPlan, job: PlannedJob, rates: float | tuple[float, float], **changed: Any) -> RunDirectory:
    """The directory of a finished run; `changed` replaces parts of its provenance."""
    of_split = dict(zip(("validation", "test"), rates if isinstance(rates, tuple) else (rates, rates), strict=True))
    bits_per_byte = of_split["validation"]
    run = RunDirectory(folder / job.run)
    run.path.mkdir(parents=True)
    (run.path / "config.toml").write_text(recipe.to_toml(job.config))
    run.write_json("provenance.json", {**FACTS, **changed})
    for step in (10, 20, 30, 40, 50):
        run.append_line("metrics.jsonl", {"step": step, "targets": 1000 * step, "loss": 3.0 - step / 100})
        run.append_line(
            "timings.jsonl", {"step": step, "tokens_per_second": 5e3, "spent": {"warm_up": 1.0, "step": step / 5, "validate": 9.0}}
        )
        if step % 20 == 10:
            figures = {"bits_per_byte": bits_per_byte * (1 + (50 - step) / 5000), "standard_error": 0.01}
            run.append_line("metrics.jsonl", {"step": step, "validation": figures})
    for split in ("validation", "test")[: 1 + (plan.study.report_on == "test")]:
        for which in ("best", "last"):
            write_score(run, job, of_split[split], split=split, checkpoint={"kind": which, "step": 50})
        if split == "test":
            run.append_line("test_uses.jsonl", {"checkpoint": {"kind": "best", "step": 50}})
    seconds = {"warm_up": 1.0, "step": 10.0, "validate": 9.0}
    run.update_status(state="finished", step=50, steps=50, best={"step": 50, "bits_per_byte": bits_per_byte}, seconds=seconds)
    return run


def write_score(run: RunDirectory, job: PlannedJob, bits_per_byte: float, **protocol: Any) -> Path:
    """A score in which documents are hard and easy as in every other, with noise of its own, and whose figure is exactly this."""
    noise = np.random.default_rng([job.seed, *job.run.encode()]).normal(0, 0.02, len(SIZES))
    bits = SIZES * DIFFICULTY * (1 + noise)
    bits *= bits_per_byte * SIZES.sum() / bits.sum()
    score = stored(job.run, bits, SIZES, **protocol)
    figures = {"bits_per_character": bits_per_byte * 1.1, "top1_accuracy": 1 / bits_per_byte / 4, "perplexity_per_word": 40 * bits_per_byte}
    score.values.update(figures)
    which = protocol["checkpoint"]["kind"]
    return keep(score, run.path, f"end-{which}" if protocol["split"] == "validation" else f"test-{which}")


def put_on(runs: Sequence[RunDirectory], name: str, sha256: str, arms: Sequence[str] = ()) -> None:
    """Put finished runs, those whose names begin with one of `arms`, on another text."""
    for run in runs:
        if not arms or any(run.name.startswith(one) for one in arms):
            corpus: Tree = {"name": name, "licence": "", "source": "", "bytes": 9, "notes": []}
            data = {
                **FACTS["data"],
                "corpus": corpus,
                "split_sha256": sha256,
                "parts": {"train": PART, "validation": {**PART, "sha256": sha256}},
            }
            run.write_json("provenance.json", {**FACTS, "data": data})
            for file in (run.path / "scores").glob("*.json"):
                score = run.read_json(f"scores/{file.name}")
                score["protocol"] |= {"text_sha256": sha256, "split_sha256": sha256}
                run.write_json(f"scores/{file.name}", score)


def change(file: Path, **values: Any) -> None:
    """Replace some values of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def outcome_of(planned: PlannedArm, figures: Mapping[int, float], metric: str = "bits_per_byte", **known: Any) -> ArmOutcome:
    """An arm with these figures by seed, as if it had been read; scored on `SIZES`, where only its overall figure matters."""
    config = {"model": planned.config.model, "tokenizer": {"kind": "byte"}}  # what tells one architecture from another
    runs = []
    for seed, figure in figures.items():
        job = PlannedJob(f"{planned.name}-s{seed}", {}, planned.name, seed, 1.0, False)
        score = stored(job.run, SIZES * figure, SIZES, config={**config, "train": {"seed": seed}})
        score.values[metric] = figure
        spent = ResourceUse(1000, 2000, 1000 * planned.flops_per_token, 10.0, 100.0, None)
        runs.append(RunOutcome(job, RunDirectory(Path(job.run)), "finished", "", 50, 50, score, None, LearningCurve((), ()), spent, 0, {}))
    return ArmOutcome(planned, 1.0, tuple(runs), tuple(runs), "validation", METRICS[metric], **known)
