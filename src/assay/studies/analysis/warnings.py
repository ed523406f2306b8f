"""What a reader of a study should know before believing it, in sentences: one function a kind of doubt, the gravest first."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from assay.core.words import brief, listed, plural
from assay.studies.analysis.results import ArmOutcome, Outcome, RunOutcome

NEARLY = 0.01  # what differs by less is called equal
SAME = 1e-5  # figures that differ by less, relatively, are one figure rounded twice
STEEP = 0.01  # of the figure: a curve that fell by more in its last fifth is still falling
DISTURBED = 1.2  # how many times as fast one run of an arm may be as another before something disturbed them
BUDGET = "train.budget"  # an arm that declares it is not matched
DECLARED = {"parameters": "model.width"}  # what matching sets instead of the budget
DATA = ("corpus", "split", "tokenizer", "plan")  # keys of a config that decide which tokens come when

AMOUNTS: dict[str, tuple[str, Callable[[ArmOutcome], float | None]]] = {
    "tokens": ("tokens", lambda arm: arm.spent.tokens),
    "text": ("bytes of training text", lambda arm: arm.spent.bytes),
    "flops": ("FLOPs", lambda arm: arm.spent.flops),
    "minutes": ("seconds of training steps", lambda arm: arm.spent.seconds),
    "parameters": ("parameters", lambda arm: arm.plan.parameters),
}


def warnings(outcome: Outcome) -> tuple[str, ...]:
    """Every doubt about a study."""
    return tuple(sentence for doubt in DOUBTS for sentence in doubt(outcome))


def unfinished(outcome: Outcome) -> Iterator[str]:
    """Runs that are missing or failed, and the split that is reported meanwhile."""
    failed = [run for run in outcome.jobs if run.state == "failed"]
    missing = [run for run in outcome.jobs if not run.finished and run.state != "failed"]
    if failed:
        reasons = listed([f"{run.job.run} ({brief(run.reason) or 'no reason is known'})" for run in failed])
        yield f"{plural(len(failed), 'run')} failed and {_is(failed)} missing from the figures: {reasons}."
    if missing:
        yield f"{len(missing)} of {plural(len(outcome.jobs), 'run')} {_is(missing)} not finished: {_by_state(missing)}."
    undecided = [arm.name for arm in outcome.arms if arm.factor is None]
    if undecided:
        yield f"No learning rate is chosen yet for {listed(undecided)}, so that nothing is reported of them."
    if outcome.split != outcome.plan.study.report_on and any(arm.stored for arm in outcome.arms):
        yield "All figures are of validation for now: the test split is scored once, when every run is done."


def left_out(outcome: Outcome) -> Iterator[str]:
    """Arms that cannot be compared or built, and runs that belong to no arm."""
    for reason in outcome.left_out:
        yield f"{reason[:1].upper()}{reason[1:]}."
    if outcome.plan.refused:
        names = listed([f"{one.name} ({brief(one.reason)})" for one in outcome.plan.refused])
        yield f"{plural(len(outcome.plan.refused), 'combination')} cannot be built and {_is(outcome.plan.refused)} left out: {names}."
    if outcome.earlier:
        count = plural(len(outcome.earlier), "run")
        yield f"{count} in the folder {_is(outcome.earlier)} of an earlier form of this study and not counted."


def seeds(outcome: Outcome) -> Iterator[str]:
    """Too few seeds to tell arms from seeds."""
    counts = {arm.name: len(arm.figures) for arm in outcome.arms if arm.figures}
    single = [name for name, count in counts.items() if count == 1]
    if single:
        who = "Every arm has" if len(single) == len(counts) else f"{listed(single)} {'has' if len(single) == 1 else 'have'}"
        yield (
            f"{who} a single seed: another seed of the same arm gives another figure, and intervals over the text know nothing of that, "
            f"so no difference from {'it' if len(single) == 1 else 'them'} counts as resolved; give two or more seeds."
        )
    elif len(set(counts.values())) > 1:
        yield f"The arms do not have equally many seeds: {listed([f'{name} {count}' for name, count in counts.items()])}."


def matching(outcome: Outcome) -> Iterator[str]:
    """Arms that did not get the same of what was to be the same."""
    if not outcome.plan.study.match:
        yield "The arms are matched on nothing, so a larger budget or model may make a difference: set match in the study file."
    for what in outcome.plan.study.match:
        label, amount = AMOUNTS[what]
        if apart := _apart(outcome, amount, DECLARED.get(what, BUDGET)):
            yield f"The arms were to have the same {label}, and beside the base {listed(apart)}."
    if _apart(outcome, lambda arm: arm.spent.bytes, BUDGET) and "tokens" in outcome.plan.study.match:
        yield 'Equal tokens are not equal text here, as the arms have unlike tokenizers; match = ["text"] gives each the same bytes.'
    for other in sorted({"parameters", "flops"} - set(outcome.plan.study.match)) if outcome.plan.study.match else ():
        label, amount = AMOUNTS[other]
        if apart := _apart(outcome, amount):
            yield f"{label[:1].upper()}{label[1:]} were not matched; beside the base {listed(apart)}."


def tuning(outcome: Outcome) -> Iterator[str]:
    """Arms whose settings were searched for longer than those of others, or not at all."""
    study = outcome.plan.study
    tried = {
        arm.name: len({(run.job.lr_factor, run.job.seed) for run in arm.jobs if run.job.tuning and run.finished}) for arm in outcome.arms
    }
    if not study.tuned and len(outcome.arms) > 1:
        yield (
            "No arm's learning rate was tuned: each has the base's, or one that the study file gives it, which may suit some arms better "
            "than others; lr_factors gives every arm the same search."
        )
    if study.tuned and len(set(tried.values())) > 1:
        most, least = max(tried, key=tried.__getitem__), min(tried, key=tried.__getitem__)
        yield f"{most} had more tuning than {least}: {tried[most]} finished tries of a learning rate against {tried[least]}."
    edge = [f"{one.arm} ({one.best:g})" for one in outcome.sensitivities if one.at_edge]
    if edge:
        yield f"The best factor on the learning rates is the last that was tried on its side for {listed(edge)}: widen lr_factors."


def selection(outcome: Outcome) -> Iterator[str]:
    """Figures of the text on which something was chosen, and test texts that are no longer unseen."""
    study = outcome.plan.study
    chosen = ["learning rates"] * study.tuned + ["the best checkpoint of each run"] * (study.checkpoint == "best")
    if outcome.split == "validation" and chosen and any(arm.figures for arm in outcome.arms):
        what = " and ".join(chosen).capitalize()
        were = "were" if study.tuned else "was"
        yield f"{what} {were} chosen on validation, and the figures are of validation: they are a little too good."
    shared = sorted(set(study.tuning_seeds) & set(study.seeds))
    if study.tuned and shared:
        seeds = f"Seed {shared[0]} has" if len(shared) == 1 else f"Seeds {listed([str(seed) for seed in shared])} have"
        yield f"{seeds} chosen the learning rates and {_is(shared)} reported too, with the luck that made the choice; tune on other seeds."
    uses = max((run.test_uses for run in outcome.jobs), default=0)
    if uses > 1:
        yield f"The test split was used {uses} times by one run: what was looked at and then changed is no longer a test on unseen text."


def figures(outcome: Outcome) -> Iterator[str]:
    """What makes the figures themselves unlike."""
    if outcome.metric.name != "bits_per_byte":
        yield f"Only bits per byte is kept by unit of text: {outcome.metric.label} is compared over seeds alone."
    tokenizers = {score.protocol["tokenizer"] for arm in outcome.arms for score in arm.stored}
    if outcome.metric.per_token and len(tokenizers) > 1:
        label = outcome.metric.label.capitalize()
        yield f"{label} counts tokens, and the arms have unlike tokenizers: the figures do not compare; use bits_per_byte."
    for what in ("policy", "stride", "dynamic_evaluation", "document_mask", "dtype", "checkpoint", "longest_context"):
        unlike = [f"{one.arm} {one.unequal[what][1]}" for one in outcome.comparisons if what in one.unequal]
        if unlike:
            base = next(one.unequal[what][0] for one in outcome.comparisons if what in one.unequal)
            yield f"The scores have unequal {what.replace('_', ' ')}: base {base}, {listed(unlike)}."


def order(outcome: Outcome) -> Iterator[str]:
    """Runs of one seed that did not read the same data in the same order, though nothing of the data was varied."""
    first = {run.job.seed: run for run in outcome.base.runs if run.provenance}
    unlike = []
    for arm in outcome.arms[1:]:
        if any(key.partition(".")[0] in DATA for key in arm.plan.values):
            continue
        for run in arm.runs:
            base = first.get(run.job.seed)
            if base is not None and run.provenance and _data(run) != _data(base):
                unlike.append(run.job.run)
    if unlike:
        yield f"{listed(unlike)} did not read the same data in the same order as the base of {'its' if len(unlike) == 1 else 'their'} seed."


def surroundings(outcome: Outcome) -> Iterator[str]:
    """Machines, code and speeds: what makes seconds incomparable, and figures too where the code differs."""
    made = [run for arm in outcome.arms for run in arm.runs if run.finished and run.provenance]
    for surrounding in SURROUNDINGS:
        by_value: dict[str, list[RunOutcome]] = defaultdict(list)
        for run in made:
            by_value[surrounding.of(run)].append(run)
        if len(by_value) > 1:
            groups = listed([f"{value} ({plural(len(runs), 'run')})" for value, runs in by_value.items()])
            effect = "figures and seconds" if surrounding.figures else "seconds"
            yield f"The runs have unlike {surrounding.label}, so their {effect} do not compare well: {groups}."
    uneven = [arm.name for arm in outcome.arms if _ratio([run.spent.tokens_per_second for run in arm.runs]) > DISTURBED]
    if uneven:
        yield f"Runs of one arm differ in speed by more than {DISTURBED - 1:.0%} ({listed(uneven)}): something disturbed their seconds."


def budget(outcome: Outcome) -> Iterator[str]:
    """Curves that still fall at the end."""
    falls = {arm.name: _fall(arm) for arm in outcome.arms if arm.figures}
    steep = {name: fall for name, fall in falls.items() if fall > STEEP}
    if steep:
        worst = max(steep, key=steep.__getitem__)
        many, most = f"{len(steep)} of {plural(len(falls), 'arm')}", f"{steep[worst]:.1%} in the last fifth of training ({worst})"
        yield f"Validation was still falling steeply at the end in {many}, by up to {most}: with a larger budget the order may change."


def dead(outcome: Outcome) -> Iterator[str]:
    """Arms in which nothing came out otherwise: a setting that does nothing here, such as a window longer than the rows."""
    of_base = dict(zip(outcome.base.seeds, outcome.base.figures, strict=True))
    same = []
    for arm in outcome.arms:
        pairs = [(figure, of_base[seed]) for seed, figure in zip(arm.seeds, arm.figures, strict=True) if seed in of_base]
        if arm is not outcome.base and pairs and all(abs(one - other) <= SAME * abs(other) for one, other in pairs):
            same.append(arm.name)
    if same:
        give = "gives" if len(same) == 1 else "give"
        yield f"{listed(same)} {give} the base's figures with every seed, but for rounding: what is set there does nothing here."


DOUBTS = (unfinished, left_out, seeds, dead, selection, matching, tuning, figures, order, surroundings, budget)


class Surrounding(NamedTuple):
    """What a run was made with and need not be part of its config."""

    label: str
    of: Callable[[RunOutcome], str]
    figures: bool = False  # whether it changes figures, and not seconds alone


SURROUNDINGS = (
    Surrounding(
        "machines",
        lambda run: ", ".join(
            map(str, [run.provenance.get("platform"), f"{run.provenance.get('cpus')} CPUs", *run.provenance.get("gpus", [])])
        ),
    ),
    Surrounding("thread counts", lambda run: f"{run.provenance.get('threads')} threads"),
    Surrounding("code versions", lambda run: f"{run.provenance.get('assay')}+{str(run.provenance.get('code'))[:8]}", figures=True),
    Surrounding("torch versions", lambda run: f"torch {run.provenance.get('packages', {}).get('torch')}"),
    Surrounding("precisions", lambda run: str(run.job.config.get("train", {}).get("precision")), figures=True),
)


def _apart(outcome: Outcome, amount: Callable[[ArmOutcome], float | None], declared: str = "") -> list[str]:
    """The arms that differ from the base in an amount, and by how much; not those that declare this key, which sets the amount."""
    base = amount(outcome.base)
    arms = [arm for arm in outcome.arms[1:] if arm.figures and declared not in arm.plan.values]
    known = [(arm.name, value) for arm in arms if (value := amount(arm)) is not None]
    return [f"{name} has {value / base - 1:+.1%}" for name, value in known if abs(value / base - 1) > NEARLY] if base else []


def _is(ones: Sequence[object]) -> str:
    return "is" if len(ones) == 1 else "are"


def _data(run: RunOutcome) -> tuple[Any, ...]:
    """What decides which tokens come when, apart from the seed."""
    return run.provenance.get("data", {}).get("fingerprint"), run.job.config.get("plan")


def _fall(arm: ArmOutcome) -> float:
    """By what part of its last figure validation fell in the last fifth, on average over the runs."""
    falls = [run.curve.falling / run.curve.validation[-1].value for run in arm.scored if run.curve.falling is not None]
    return sum(falls) / len(falls) if falls else 0.0


def _ratio(speeds: Iterable[float | None]) -> float:
    known = [speed for speed in speeds if speed]
    return max(known) / min(known) if known else 1.0


def _by_state(runs: Iterable[RunOutcome]) -> str:
    by_state: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        by_state[run.state].append(run.job.run)
    return "; ".join(f"{state}: {listed(names)}" for state, names in by_state.items())
