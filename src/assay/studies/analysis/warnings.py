"""The warnings of a study: sentences that a reader should know before believing it. There is one function a kind of doubt."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from assay.core.words import choose_form, format_count, format_list, shorten
from assay.studies.analysis.pareto import QUANTITIES
from assay.studies.analysis.results import ArmOutcome, RunOutcome, StudyOutcome
from assay.variation.matching import BUDGET, WIDTH

EQUAL_SHARE = 0.01  # what differs by less is called equal
ROUNDING = 1e-5  # figures that differ by less, relatively, are one figure rounded twice
STEEP_FALL = 0.01  # of the figure: a curve that fell by more in its last fifth is still falling
MAX_SPEED_RATIO = 1.2  # how many times as fast one run of an arm may be as another before something disturbed them
DATA = ("corpus", "split", "tokenizer", "batches")  # keys of a config that decide which tokens come when


def collect_warnings(outcome: StudyOutcome) -> tuple[str, ...]:
    """Collect every doubt about a study, the gravest first."""
    return tuple(sentence for doubt in CHECKS for sentence in doubt(outcome))


def check_unfinished_runs(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of runs that are missing or failed, and the split that is reported meanwhile."""
    failed = [run for run in outcome.all_runs if run.state == "failed"]
    missing = [run for run in outcome.all_runs if not run.finished and run.state != "failed"]
    if failed:
        reasons = format_list([f"{run.job.run} ({shorten(run.reason) or 'no reason is known'})" for run in failed])
        yield f"{format_count(len(failed), 'run')} failed and {choose_form(failed, 'is', 'are')} missing from the figures: {reasons}."
    if missing:
        by_state = {run.state: format_list([one.job.run for one in missing if one.state == run.state]) for run in missing}
        states = "; ".join(f"{state}: {names}" for state, names in by_state.items())
        yield f"{len(missing)} of {format_count(len(outcome.all_runs), 'run')} {choose_form(missing, 'is', 'are')} not finished: {states}."
    undecided = [arm.name for arm in outcome.arms if arm.lr_factor is None]
    if undecided:
        yield f"No learning rate is chosen yet for {format_list(undecided)}, so that nothing is reported of them."
    if outcome.split != outcome.plan.study.report_on and any(arm.scores for arm in outcome.arms):
        yield "All figures are of validation for now: the test split is scored once, when every run is done."


def check_damaged_files(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of files of runs that cannot be read, and whose figures are missing."""
    for run in outcome.all_runs:
        yield from (f"{sentence}." for sentence in run.damage)


def check_left_out(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of arms that cannot be compared or built, and runs that belong to no arm."""
    for reason in outcome.left_out:
        yield f"{reason[:1].upper()}{reason[1:]}."
    if outcome.plan.refused:
        names = format_list([f"{one.name} ({shorten(one.reason)})" for one in outcome.plan.refused])
        verb = choose_form(outcome.plan.refused, "is", "are")
        yield f"{format_count(len(outcome.plan.refused), 'combination')} cannot be built and {verb} left out: {names}."
    if outcome.earlier_runs:
        count = format_count(len(outcome.earlier_runs), "run")
        yield f"{count} in the folder {choose_form(outcome.earlier_runs, 'is', 'are')} of an earlier form of this study and not counted."


def check_seeds(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of too few seeds to tell arms from seeds."""
    counts = {arm.name: len(arm.figures) for arm in outcome.arms if arm.figures}
    single = [name for name, count in counts.items() if count == 1]
    others = {name: count for name, count in counts.items() if name != outcome.base.name}
    if single:
        who = "Every arm has" if len(single) == len(counts) else f"{format_list(single)} {choose_form(single, 'has', 'have')}"
        yield f"{who} a single seed, which gives a ranking and no finding: another seed of the same arm gives another figure."
    elif len(set(others.values())) > 1:
        yield f"The arms do not have equally many seeds: {format_list([f'{name} {count}' for name, count in counts.items()])}."


def check_matching(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of arms that did not get the same of what was to be the same."""
    if not outcome.plan.study.match:
        yield "The arms are matched on nothing, so a larger budget or model may make a difference: set match in the study file."
    for what in outcome.plan.study.match:
        key = WIDTH if what == "parameters" else BUDGET
        if apart := _list_apart(outcome, what, key):
            yield f"The arms were to have the same {QUANTITIES[what].noun}, and beside the base {format_list(apart)}."
    if _list_apart(outcome, "text", BUDGET) and "tokens" in outcome.plan.study.match:
        yield 'Equal tokens are not equal text here, as the arms have unlike tokenizers; match = ["text"] gives each the same bytes.'
    for other in sorted({"parameters", "flops"} - set(outcome.plan.study.match)) if outcome.plan.study.match else ():
        noun = QUANTITIES[other].noun
        if apart := _list_apart(outcome, other):
            yield f"{noun[:1].upper()}{noun[1:]} were not matched; beside the base {format_list(apart)}."


def check_tuning(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of arms whose settings were searched for longer than those of others, or not at all."""
    study = outcome.plan.study
    tried = {
        arm.name: len({(run.job.lr_factor, run.job.seed) for run in arm.all_runs if run.job.tuning and run.finished})
        for arm in outcome.arms
    }
    if not study.tunes_learning_rates and len(outcome.arms) > 1:
        yield (
            "No arm's learning rate was tuned: each has the base's, or one that the study file gives it, which may suit some arms better "
            "than others; lr_factors gives every arm the same search."
        )
    if study.tunes_learning_rates and len(set(tried.values())) > 1:
        most, least = max(tried, key=tried.__getitem__), min(tried, key=tried.__getitem__)
        yield f"{most} had more tuning than {least}: {tried[most]} finished tries of a learning rate against {tried[least]}."
    edge = [f"{one.arm} ({one.best:g})" for one in outcome.sensitivities if one.at_edge]
    if edge:
        yield f"The best factor on the learning rates is the last that was tried on its side for {format_list(edge)}: widen lr_factors."


def check_selection(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of figures of the text on which something was chosen, and test texts that are no longer unseen."""
    study = outcome.plan.study
    chosen = ["learning rates"] * study.tunes_learning_rates + ["the best checkpoint of each run"] * (study.checkpoint == "best")
    if outcome.split == "validation" and chosen and any(arm.figures for arm in outcome.arms):
        what = " and ".join(chosen).capitalize()
        were = "were" if study.tunes_learning_rates else "was"
        yield f"{what} {were} chosen on validation, and the figures are of validation: they are a little too good."
    shared = sorted(set(study.tuning_seeds) & set(study.seeds))
    if study.tunes_learning_rates and shared:
        seeds = f"{choose_form(shared, 'Seed', 'Seeds')} {format_list(list(map(str, shared)))} {choose_form(shared, 'has', 'have')}"
        verb = choose_form(shared, "is", "are")
        yield f"{seeds} chosen the learning rates and {verb} reported too, with the luck that made the choice; tune on other seeds."
    uses = max((run.test_uses for run in outcome.all_runs), default=0)
    if uses > 1:
        times = format_count(uses, "time")
        yield f"The test split was used {times} by one run: what was looked at and then changed is no longer a test on unseen text."


def check_figures(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of what makes the figures themselves unlike."""
    if outcome.metric.name != "bits_per_byte":
        yield f"Only bits per byte is kept by unit of text: {outcome.metric.label} is compared over seeds alone."
    tokenizers = {score.protocol["tokenizer"] for arm in outcome.arms for score in arm.scores}
    if outcome.metric.per_token and len(tokenizers) > 1:
        label = outcome.metric.label.capitalize()
        yield f"{label} counts tokens, and the arms have unlike tokenizers: the figures do not compare; use bits_per_byte."
    for what in ("policy", "stride", "dynamic_evaluation", "document_mask", "dtype", "checkpoint", "longest_context"):
        unlike = [f"{one.arm} {one.unequal_conditions[what][1]}" for one in outcome.comparisons if what in one.unequal_conditions]
        if unlike:
            base = next(one.unequal_conditions[what][0] for one in outcome.comparisons if what in one.unequal_conditions)
            yield f"The scores have unequal {what.replace('_', ' ')}: base {base}, {format_list(unlike)}."


def check_data_order(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of runs of one seed that did not read the same data in the same order, though nothing of the data was varied."""
    first = {run.job.seed: run for run in outcome.base.runs if run.provenance}
    unlike = []
    for arm in outcome.arms[1:]:
        if any(key.partition(".")[0] in DATA for key in arm.planned_arm.values):
            continue
        for run in arm.runs:
            base = first.get(run.job.seed)
            if base is not None and run.provenance and _data_of(run) != _data_of(base):
                unlike.append(run.job.run)
    if unlike:
        seeds = f"{choose_form(unlike, 'its', 'their')} seed"
        yield f"{format_list(unlike)} did not read the same data in the same order as the base of {seeds}."


def check_environments(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of unlike machines, code and speeds: seconds do not compare then, nor figures where the code differs."""
    made = [run for arm in outcome.arms for run in arm.runs if run.finished and run.provenance]
    for environment in ENVIRONMENTS:
        by_value = Counter(map(environment.describe, made))
        if len(by_value) > 1:
            groups = format_list([f"{value} ({format_count(count, 'run')})" for value, count in by_value.items()])
            affected = "figures and seconds" if environment.changes_figures else "seconds"
            yield f"The runs have unlike {environment.label}, so their {affected} do not compare well: {groups}."
    uneven = [arm.name for arm in outcome.arms if _speed_ratio([run.resource_use.tokens_per_second for run in arm.runs]) > MAX_SPEED_RATIO]
    if uneven:
        arms = format_list(uneven)
        yield f"Runs of one arm differ in speed by more than {MAX_SPEED_RATIO - 1:.0%} ({arms}): something disturbed their seconds."


def check_convergence(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of curves that still fall at the end."""
    falls = {arm.name: _measure_fall(arm) for arm in outcome.arms if arm.figures}
    steep = {name: fall for name, fall in falls.items() if fall > STEEP_FALL}
    if steep:
        worst = max(steep, key=steep.__getitem__)
        many, most = f"{len(steep)} of {format_count(len(falls), 'arm')}", f"{steep[worst]:.1%} in the last fifth of training ({worst})"
        yield f"Validation was still falling steeply at the end in {many}, by up to {most}: with a larger budget the order may change."


def check_inert_settings(outcome: StudyOutcome) -> Iterator[str]:
    """Warn of settings without effect, such as a window longer than the rows: arms with the figures of the base."""
    of_base = dict(zip(outcome.base.seeds, outcome.base.figures, strict=True))
    same = []
    for arm in outcome.arms:
        pairs = [(figure, of_base[seed]) for seed, figure in zip(arm.seeds, arm.figures, strict=True) if seed in of_base]
        if arm is not outcome.base and pairs and all(abs(one - other) <= ROUNDING * abs(other) for one, other in pairs):
            same.append(arm.name)
    if same:
        verb = choose_form(same, "gives", "give")
        yield f"{format_list(same)} {verb} the base's figures with every seed, but for rounding: what is set there does nothing here."


CHECKS = (
    check_damaged_files, check_unfinished_runs, check_left_out, check_seeds, check_inert_settings, check_selection, check_matching,
    check_tuning, check_figures, check_data_order, check_environments, check_convergence,
)  # fmt: skip


class Environment(NamedTuple):
    """A part of the surroundings of a run that its config need not hold."""

    label: str
    describe: Callable[[RunOutcome], str]
    changes_figures: bool = False  # whether it changes figures, and not seconds alone


def _describe_machine(run: RunOutcome) -> str:
    made = run.provenance
    return ", ".join(map(str, [made.get("platform"), f"{made.get('cpus')} CPUs", *made.get("gpus", [])]))


ENVIRONMENTS = (
    Environment("machines", _describe_machine),
    Environment("thread counts", lambda run: f"{run.provenance.get('threads')} threads"),
    Environment("code versions", lambda run: f"{run.provenance.get('assay')}+{str(run.provenance.get('code'))[:8]}", changes_figures=True),
    Environment("torch versions", lambda run: f"torch {run.provenance.get('packages', {}).get('torch')}"),
    Environment("precisions", lambda run: str(run.job.config.get("train", {}).get("precision")), changes_figures=True),
)


def _list_apart(outcome: StudyOutcome, quantity: str, declared: str = "") -> list[str]:
    """List the arms that differ from the base in a quantity, and by how much; not those that declare this key, which sets it."""
    measure = QUANTITIES[quantity].measure
    base = measure(outcome.base)
    arms = [arm for arm in outcome.arms[1:] if arm.figures and declared not in arm.planned_arm.values]
    known = [(arm.name, value) for arm in arms if (value := measure(arm)) is not None]
    return [f"{name} has {value / base - 1:+.1%}" for name, value in known if abs(value / base - 1) > EQUAL_SHARE] if base else []


def _data_of(run: RunOutcome) -> tuple[Any, ...]:
    """Find the parts of a run that decide which tokens come when, apart from the seed."""
    return run.provenance.get("data", {}).get("fingerprint"), run.job.config.get("batches")


def _measure_fall(arm: ArmOutcome) -> float:
    """Measure the part of its last figure by which validation fell in the last fifth, on average over the runs."""
    falls = [run.curve.final_drop / run.curve.validation[-1].value for run in arm.scored_runs if run.curve.final_drop is not None]
    return sum(falls) / len(falls) if falls else 0.0


def _speed_ratio(speeds: Iterable[float | None]) -> float:
    known = [speed for speed in speeds if speed]
    return max(known) / min(known) if known else 1.0
