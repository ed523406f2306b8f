"""List the details behind a report: what was changed, the protocol, the machine, unfinished runs, and samples of text."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from assay.core.trees import Tree, flatten
from assay.core.words import format_count
from assay.reports.number_format import UNKNOWN, format_difference, format_interval, format_setting
from assay.reports.panels import Legend
from assay.runs.checkpoint_ref import parse_step
from assay.runs.directory import RunDirectory
from assay.studies.analysis.results import Effect, Interaction, RunOutcome, StudyOutcome

SEED_KEY = "train.seed"  # differs between the runs of an arm
INTERACTIONS = "pairs of values, less what each does alone"
MAX_SAMPLE = 1200  # characters of an arm's samples
VERSIONS = ("assay", "code", "python", "platform", "cpus", "threads", "gpus")


class RowGroup(NamedTuple):
    """Rows of a table that belong to one arm or axis."""

    name: str
    rows: tuple[tuple[str, ...], ...]


class UnfinishedRun(NamedTuple):
    """A run that is not finished, and why."""

    run: str
    arm: str
    state: str
    progress: str
    reason: str


class RunSample(NamedTuple):
    """The last samples of one run of an arm."""

    name: str  # of the arm, with its number
    run: str
    step: int
    text: str


def list_changes(outcome: StudyOutcome) -> tuple[RowGroup, ...]:
    """List for every arm the settings in which it differs from the base: key, value of the base, value of the arm."""
    base, *others = (dict(flatten(arm.planned_arm.config.to_dict())) for arm in outcome.arms)
    groups = []
    for number, (arm, other) in enumerate(zip(outcome.arms[1:], others, strict=True), 2):
        keys = [key for key in dict.fromkeys([*base, *other]) if key != SEED_KEY and base.get(key) != other.get(key)]
        rows = tuple((key, format_setting(base.get(key)), format_setting(other.get(key))) for key in keys)
        groups.append(RowGroup(f"{number} {arm.name}", rows))
    return tuple(groups)


def list_protocol(outcome: StudyOutcome) -> dict[str, str]:
    """List how the figures were measured, as far as it is the same for all arms."""
    study = outcome.plan.study
    facts = {
        "figures on": f"the {outcome.split} text" + _describe_test_uses(outcome),
        "matched": ", ".join(study.match) if study.match else "nothing",
        "seeds": ", ".join(map(str, sorted({run.job.seed for run in outcome.all_runs}))),
        "weights": f"the {study.checkpoint} checkpoint of each run" + (", on validation" if study.checkpoint == "best" else ""),
    }
    if len(study.lr_factors) > 1:
        rates, seeds = ", ".join(f"×{factor:g}" for factor in study.lr_factors), ", ".join(map(str, study.tuning_seeds))
        facts["learning rates tried"] = f"{rates} for every arm, on seed {seeds}, chosen on validation"
    data: Tree = next((run.provenance["data"] for run in outcome.all_runs if run.provenance.get("data")), {})
    if "corpus" in data:
        facts["text"] = f"{data['corpus']['name']}, {data['corpus']['bytes']:,} bytes; {data['corpus']['licence']}"
    facts |= {f"{name} text": _describe_part(part) for name, part in data.get("parts", {}).items()}
    if "split_sha256" in data:
        facts["division of the text, sha256"] = str(data["split_sha256"])
    scores = [score for arm in outcome.arms for score in arm.scores]
    if scores:
        readings = dict.fromkeys(_describe_reading(score.protocol) for score in scores)
        facts["how the text was read"] = "; or ".join(readings)
        facts["bytes scored"] = f"{scores[0].values['bytes_scored']:,} of {scores[0].values['bytes_in_split']:,}, each once"
        facts["text scored, sha256"] = str(scores[0].protocol["text_sha256"])
    if outcome.units is not None:
        facts["intervals over the text"] = f"resampled over {outcome.units.describe()}"
    return facts


def _describe_test_uses(outcome: StudyOutcome) -> str:
    most = max((run.test_uses for run in outcome.all_runs), default=0)
    return f"; the test text was used at most {format_count(most, 'time')} by a run" if most else ""


def _describe_part(part: Mapping[str, Any]) -> str:
    documents, size, tokens = (format_count(part[f"{noun}s"], noun) for noun in ("document", "byte", "token"))
    return f"{documents}, {size}, {tokens} of the base; sha256 {str(part['sha256'])[:16]}"


def _describe_reading(protocol: Mapping[str, Any]) -> str:
    how = {
        "streams": f"state carried through {format_count(protocol['streams'], 'stream')}",
        "documents": f"each document alone, at most {protocol['context']} tokens",
        "strided": f"windows of {protocol['context']} tokens, {protocol['stride']} new ones each, the last moved back to be full",
    }.get(protocol["policy"], f"disjoint windows of {protocol['context']} tokens, the last moved back to be full")
    masked = ", documents isolated" if protocol["document_mask"] else ""
    return f"{how}{masked}, {protocol['dtype']}"


def list_machines(outcome: StudyOutcome) -> dict[str, str]:
    """List code, versions and machines; where runs differ, each value with the number of runs that have it."""
    started = [{**run.provenance, **run.provenance.get("packages", {})} for run in outcome.all_runs if run.provenance]
    packages = [name for provenance in started for name in provenance.get("packages", {})]
    names = dict.fromkeys([*VERSIONS, *packages]) if started else ()
    return {name: _count_values([_format_version(name, provenance.get(name)) for provenance in started]) for name in names}


def _format_version(name: str, value: Any) -> str:
    if name == "gpus":
        return ", ".join(value or ()) or "none"
    return str(value)[:12] if name == "code" else format_setting(value)


def _count_values(values: Sequence[str]) -> str:
    different = list(dict.fromkeys(values))
    if len(different) == 1:
        return different[0]
    return "; ".join(f"{value} ({format_count(values.count(value), 'run')})" for value in different)


def list_unfinished_runs(outcome: StudyOutcome) -> tuple[UnfinishedRun, ...]:
    """List every run that is not finished, the failed ones first."""
    runs = sorted((run for run in outcome.all_runs if not run.finished), key=lambda run: run.state != "failed")
    return tuple(UnfinishedRun(run.run.name, run.job.arm, run.state, _describe_progress(run), run.reason or UNKNOWN) for run in runs)


def _describe_progress(run: RunOutcome) -> str:
    return UNKNOWN if run.state == "waiting" else f"{run.step:,} of {'? steps' if run.steps is None else format_count(run.steps, 'step')}"


def list_unequal_conditions(outcome: StudyOutcome) -> tuple[RowGroup, ...]:
    """List what else is unequal between each arm and the base: name, value of the base, value of the arm."""
    unequal = {comparison.arm: comparison.unequal_conditions for comparison in outcome.comparisons}
    return tuple(RowGroup(arm, tuple((name, *values) for name, values in rows.items())) for arm, rows in unequal.items() if rows)


def list_effects(outcome: StudyOutcome) -> tuple[RowGroup, ...]:
    """List the effects of each axis, the best on top: value, difference, interval, whether it is resolved.

    Nothing where the only axis has one arm for each value.
    """
    if len(outcome.axes) < 2 and all(effect.contrast_count == 1 for axis in outcome.axes for effect in axis.effects):
        return ()
    effects = [RowGroup(axis.axis, _rank_effects({effect.value: effect for effect in axis.effects})) for axis in outcome.axes]
    if outcome.interactions:
        pairs = {" ".join((*pair.first, "with", *pair.second)): pair for pair in outcome.interactions}
        effects.append(RowGroup(INTERACTIONS, _rank_effects(pairs)))
    return tuple(effects)


def _rank_effects(effects: Mapping[str, Effect | Interaction]) -> tuple[tuple[str, ...], ...]:
    """Write effects by name as rows, the best on top."""
    rows = []
    for name, effect in sorted(effects.items(), key=lambda item: item[1].difference):
        resolved = "yes" if effect.resolved else "no"
        rows.append((name, format_difference(effect.difference), format_interval(effect.interval), resolved))
    return tuple(rows)


def collect_samples(outcome: StudyOutcome, legend: Legend) -> tuple[RunSample, ...]:
    """Collect for each arm that has a colour in the charts the last samples of its first run that wrote any."""
    samples = []
    for arm in outcome.arms:
        key = legend[arm.name]
        if key.style is not None:
            read = (_read_last_sample(f"{key.number} {arm.name}", run.run) for run in (*arm.runs, *arm.all_runs))
            samples += [sample for sample in read if sample is not None][:1]
    return tuple(samples)


def _read_last_sample(name: str, run: RunDirectory) -> RunSample | None:
    """Read a run's latest samples; None where it wrote none."""
    files = sorted((run.path / "samples").glob("step-*.txt"))
    if not files:
        return None
    text = files[-1].read_text(encoding="utf-8", errors="replace").rstrip("\n")
    return RunSample(name, run.name, parse_step(files[-1]), text if len(text) <= MAX_SAMPLE else f"{text[:MAX_SAMPLE]} …")
