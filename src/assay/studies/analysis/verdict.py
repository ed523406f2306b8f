"""A whole study in three to eight plain sentences, first the answer to its question."""

from collections.abc import Iterator, Sequence

from assay.core.words import listed, plural
from assay.statistics.interval import LEVEL
from assay.studies.analysis.compared import sized
from assay.studies.analysis.results import Against, Outcome

LONGEST = 8  # sentences
SHOWN = 4  # arms that are named with their figures before the rest is only counted
AMOUNTS = {"tokens": "tokens", "text": "training text", "flops": "FLOPs", "minutes": "training time", "parameters": "parameters"}


def verdict(outcome: Outcome) -> tuple[str, ...]:
    """What a newcomer should read first."""
    if not outcome.comparisons:
        return tuple(_nothing(outcome))
    unit = outcome.metric.label
    better = [one for one in outcome.comparisons if one.resolved and one.difference < 0]
    worse = [one for one in outcome.comparisons if one.resolved and one.difference > 0]
    open_ = [one for one in outcome.comparisons if not one.resolved]
    first = (
        _answer(outcome, better, worse, open_),
        *_sizes("Better", sorted(better, key=lambda one: one.difference), unit),
        *_sizes("Worse", sorted(worse, key=lambda one: -one.difference), unit),
        *_open(outcome, open_),
    )
    last = (_fairness(outcome), *_doubts(outcome))
    return (*first, *(*_axes(outcome), *_cheapest(outcome))[: LONGEST - len(first) - len(last)], *last)


def _nothing(outcome: Outcome) -> Iterator[str]:
    finished = sum(run.finished for run in outcome.jobs)
    yield f'Nothing can be said yet on "{outcome.plan.study.question}".'
    yield f"{finished} of {plural(len(outcome.jobs), 'run')} {'is' if finished == 1 else 'are'} finished."
    if outcome.base.mean is None:
        yield "The base has no figure yet, and every other arm is compared with it."
    elif len(outcome.arms) == 1:
        yield f"The base alone was run: {outcome.base.mean:.4f} {outcome.metric.label} on {outcome.split}; add axes or variants to compare."
    else:
        yield f"The base has {outcome.base.mean:.4f} {outcome.metric.label} on {outcome.split}; no other arm has a figure beside it yet."


def _answer(outcome: Outcome, better: Sequence[Against], worse: Sequence[Against], open_: Sequence[Against]) -> str:
    base = outcome.base
    seeds = f"mean of {len(base.figures)} seeds" if len(base.figures) > 1 else "one seed"
    beside = f"Beside the base ({base.mean:.4f} {outcome.metric.label} on {outcome.split}, {seeds})"
    if len(open_) > 2 and not (better or worse):
        return f"{beside}: none of the {len(open_)} other arms can be told from it."
    groups = (
        (better, "is better", "are better"),
        (worse, "is worse", "are worse"),
        (open_, "cannot be told from it", "cannot be told from it"),
    )
    parts = [f"{listed([one.arm for one in ones], SHOWN)} {many if len(ones) > 1 else alone}" for ones, alone, many in groups if ones]
    return f"{beside}: {'; '.join(parts)}."


def _sizes(what: str, ones: Sequence[Against], unit: str) -> Iterator[str]:
    if ones:
        more = f", and {len(ones) - SHOWN} more by less" if len(ones) > SHOWN else ""
        yield f"{what}: {', '.join(f'{one.arm} by {sized(one.difference, one.interval)}' for one in ones[:SHOWN])} {unit}{more}."


def _open(outcome: Outcome, ones: Sequence[Against]) -> Iterator[str]:
    """What is not resolved, and what it would take."""
    if not ones:
        return
    single = sorted((one for one in ones if one.interval is None), key=lambda one: -abs(one.difference))
    if single:
        seen = listed([f"{one.arm} is {_direction(one)}" for one in single], SHOWN)
        yield f"With one seed nothing is resolved, as two seeds of one arm differ too; in the runs that there are {seen}."
    known = sorted((one for one in ones if one.interval is not None), key=lambda one: one.needed or 0)
    if known:
        have = len(outcome.base.figures)
        each = ", ".join(f"{one.arm} looks {_direction(one)}{_needs(one)}" for one in known[:SHOWN])
        more = f", and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
        alone = sum(one.interval is not None and one.interval.probability < 1 - LEVEL for one in known)
        many = f"; {alone} of these intervals {'leaves' if alone == 1 else 'leave'} 0 out, but among {len(outcome.comparisons)} comparisons"
        yield f"Not resolved with {plural(have, 'seed')}: {each}{more}{many if alone else '; all'} that may be chance."


def _direction(one: Against) -> str:
    if one.difference == 0:
        return "the same"
    return f"{sized(one.difference, one.interval)} {'better' if one.difference < 0 else 'worse'}"


def _needs(one: Against) -> str:
    if one.needed is None:
        return " (more text would be needed, not seeds)" if one.adjusted is not None and one.adjusted < 0.05 else ""
    return f" (about {one.needed:,} seeds of each would resolve that)"


def _axes(outcome: Outcome) -> Iterator[str]:
    """The axis that matters most, and values that do together what they do not do alone."""
    if len(outcome.axes) > 1:
        widest = max(outcome.axes, key=lambda axis: axis.spread)
        resolved = any(effect.resolved for effect in widest.effects)
        doubt = "" if resolved else ", which is not resolved"
        best = f"its best value ({widest.best})"
        yield f"The axis that matters most is {widest.axis}: {widest.spread:.4f} between {best} and its worst{doubt}."
    if outcome.interactions:
        found = sorted((one for one in outcome.interactions if one.resolved), key=lambda one: -abs(one.difference))
        if not found:
            pairs = plural(len(outcome.interactions), "pair")
            yield f"Whether two values do together what they do not do alone is not resolved ({pairs})."
        else:
            one = found[0]
            than = "better" if one.difference < 0 else "worse"
            both = f"{one.first[0]} {one.first[1]} and {one.second[0]} {one.second[1]}"
            yield f"{both} together are {sized(one.difference, one.interval)} {than} than the sum of what each does alone."


def _cheapest(outcome: Outcome) -> Iterator[str]:
    """Which arms are worth their FLOPs."""
    front = next((front for front in outcome.fronts if front.cost == "flops"), None)
    if front is None or len({round(one.cost / front.arms[0].cost, 2) for one in front.arms}) == 1:
        return
    best = [one.arm for one in front.arms if one.front]
    ties = [one.arm for one in front.arms if one.ties and not one.front]
    tied = f" ({listed(ties, SHOWN)} cannot be told from {'it' if len(best) == 1 else 'them'})" if ties else ""
    yield f"For their FLOPs no arm is better than {listed(best, SHOWN)}{tied}."


def _fairness(outcome: Outcome) -> str:
    """What every arm was given."""
    study = outcome.plan.study
    equal = listed([AMOUNTS[what] for what in study.match]) if study.match else None
    given = f"Every arm was to get the same {equal}" if equal else "The arms were matched on nothing"
    tuned = f" and {len(study.lr_factors)} learning rates, the best chosen on validation" if study.tuned else ""
    count = len([one for one in outcome.comparisons if one.adjusted is not None])
    holm = f"; {count} comparisons were corrected together (Holm)" if count > 1 else ""
    return f"{given}{tuned}{holm}."


def _doubts(outcome: Outcome) -> Iterator[str]:
    finished = sum(run.finished for run in outcome.jobs)
    part = "" if finished == len(outcome.jobs) else f"Only {finished} of {plural(len(outcome.jobs), 'run')} are finished"
    warned = f"{plural(len(outcome.warnings), 'warning')} below {'limits' if len(outcome.warnings) == 1 else 'limit'} what this says"
    if part and outcome.warnings:
        yield f"{part}, and {warned}."
    elif part or outcome.warnings:
        yield f"{part or warned}."
