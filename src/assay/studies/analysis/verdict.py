"""The verdict of a study: three to eight plain sentences, first the answer to its question."""

from collections.abc import Iterator, Sequence

from assay.core.words import choose_form, format_count, format_list
from assay.studies.analysis.comparisons import format_difference
from assay.studies.analysis.effects import VARIANTS
from assay.studies.analysis.pareto import QUANTITIES
from assay.studies.analysis.results import ComparisonToBase, StudyOutcome

Comparisons = Sequence[ComparisonToBase]
MAX_SENTENCES = 8
SHOWN = 4  # arms that are named with their figures before the rest is only counted


def write_verdict(outcome: StudyOutcome) -> tuple[str, ...]:
    """Write the sentences that a newcomer should read first."""
    if not outcome.comparisons:
        return tuple(_say_what_is_missing(outcome))
    unit = outcome.metric.label
    better = [one for one in outcome.comparisons if one.resolved and one.difference < 0]
    worse = [one for one in outcome.comparisons if one.resolved and one.difference > 0]
    ranked = [one for one in outcome.comparisons if one.interval is None]
    open_ = [one for one in outcome.comparisons if one.interval is not None and not one.resolved]
    first = (
        _answer(outcome, better, worse, open_, ranked),
        *_list_sizes("Better", sorted(better, key=lambda one: one.difference), unit),
        *_list_sizes("Worse", sorted(worse, key=lambda one: -one.difference), unit),
        *_list_unresolved(outcome, open_),
        *_list_suspicious(outcome),
        *_list_ranks(outcome, ranked),
    )
    last = (_describe_matching(outcome), *_count_doubts(outcome))
    return (*first, *(*_describe_axes(outcome), *_describe_front(outcome))[: max(0, MAX_SENTENCES - len(first) - len(last))], *last)


def _say_what_is_missing(outcome: StudyOutcome) -> Iterator[str]:
    finished = sum(run.finished for run in outcome.all_runs)
    verb = "is" if finished == 1 else "are"
    yield f'Nothing can be said yet on "{outcome.plan.study.question}".'
    yield f"{finished} of {format_count(len(outcome.all_runs), 'run')} {verb} finished."
    if outcome.base.mean is None:
        yield "The base has no figure yet, and every other arm is compared with it."
    elif len(outcome.arms) == 1:
        yield f"The base alone was run: {outcome.base.mean:.4f} {outcome.metric.label} on {outcome.split}; add axes or variants to compare."
    else:
        yield f"The base has {outcome.base.mean:.4f} {outcome.metric.label} on {outcome.split}; no other arm has a figure beside it yet."


def _answer(outcome: StudyOutcome, better: Comparisons, worse: Comparisons, open_: Comparisons, ranked: Comparisons) -> str:
    base = outcome.base
    seeds = f"mean of {len(base.figures)} seeds" if len(base.figures) > 1 else "one seed"
    beside = f"Beside the base ({base.mean:.4f} {outcome.metric.label} on {outcome.split}, {seeds})"
    if len(ranked) == len(outcome.comparisons):
        return f"{beside}: one seed is a ranking, not a finding."
    if len(open_) > 2 and not (better or worse or ranked):
        return f"{beside}: none of the {len(open_)} other arms can be told from it."
    same = "cannot be told from it"
    groups = (
        (better, "is better", "are better"),
        (worse, "is worse", "are worse"),
        (open_, same, same),
        (ranked, "is only ranked, by one seed", "are only ranked, by one seed"),
    )
    parts = [f"{format_list([one.arm for one in ones], SHOWN)} {choose_form(ones, alone, many)}" for ones, alone, many in groups if ones]
    return f"{beside}: {'; '.join(parts)}."


def _list_sizes(what: str, ones: Comparisons, unit: str) -> Iterator[str]:
    if ones:
        more = f", and {len(ones) - SHOWN} more by less" if len(ones) > SHOWN else ""
        sizes = ", ".join(f"{one.arm} by {format_difference(one.difference, one.interval)}" for one in ones[:SHOWN])
        yield f"{what}: {sizes} {unit}{more}."


def _list_unresolved(outcome: StudyOutcome, ones: Comparisons) -> Iterator[str]:
    """List what is not resolved, and what it would take."""
    if not ones:
        return
    known = sorted(ones, key=lambda one: one.seeds_needed or 0)
    each = ", ".join(f"{one.arm} looks {_direction(one)}{_say_what_resolves(one)}" for one in known[:SHOWN])
    more = f", and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    yield f"Not resolved with {format_count(len(outcome.base.figures), 'seed')}: {each}{more}; all that may be chance."


def _list_suspicious(outcome: StudyOutcome) -> Iterator[str]:
    """Ask for more seeds of the arms that scatter more than the others."""
    noisy = [one.arm for one in outcome.comparisons if one.suspicious and not one.resolved]
    if noisy:
        verb = choose_form(noisy, "scatters", "scatter")
        yield f"{format_list(noisy, SHOWN)} {verb} over seeds more than the other arms: more seeds would tell."


def _list_ranks(outcome: StudyOutcome, ones: Comparisons) -> Iterator[str]:
    """Show how single seeds rank, and what the noise of seeds would make of it where that is known."""
    if not ones:
        return
    unit = outcome.metric.label
    ranking = ", ".join(f"{one.arm} {one.difference:+.4f}" for one in sorted(ones, key=lambda one: one.difference)[: 2 * SHOWN])
    more = f", and {len(ones) - 2 * SHOWN} behind them" if len(ones) > 2 * SHOWN else ""
    yield f"By one seed, from the best ({unit}, below 0 better than the base): {ranking}{more}."
    placed = [one for one in ones if one.rank_interval is not None]
    if not placed:
        how = " with base_seeds" if outcome.plan.study.base else ""  # plain runs have no study file
        yield f"How far seeds alone move a figure here is not known: give the base more seeds{how}."
        return
    reach = max(one.rank_interval.half_width for one in placed if one.rank_interval is not None)
    beyond = [one.arm for one in placed if one.rank_interval is not None and abs(one.difference) > one.rank_interval.half_width]
    who = f"{format_list(beyond, SHOWN)} {choose_form(beyond, 'lies', 'lie')} further away" if beyond else "none lies further away"
    yield f"Seeds alone move a difference by up to {reach:.4f} (95 %, each by itself): {who}."


def _direction(one: ComparisonToBase) -> str:
    if one.difference == 0:
        return "the same"
    return f"{format_difference(one.difference, one.interval)} {'better' if one.difference < 0 else 'worse'}"


def _say_what_resolves(one: ComparisonToBase) -> str:
    if one.seeds_needed is None:
        return " (more text would be needed, not seeds)" if one.adjusted_p_value is not None and one.adjusted_p_value < 0.05 else ""
    return f" (about {one.seeds_needed:,} seeds of each would resolve that)"


def _describe_axes(outcome: StudyOutcome) -> Iterator[str]:
    """Name the axis that matters most, and an interaction."""
    axes = [axis for axis in outcome.axes if axis.axis != VARIANTS]  # a variant moves several keys
    if len(axes) > 1:
        widest = max(axes, key=lambda axis: axis.spread)
        resolved = any(effect.resolved for effect in widest.effects)
        doubt = "" if resolved else ", which is not resolved"
        best = f"its best value ({widest.best})"
        yield f"The axis that matters most is {widest.axis}: {widest.spread:.4f} between {best} and its worst{doubt}."
    if outcome.interactions:
        resolved_pairs = sorted((one for one in outcome.interactions if one.resolved), key=lambda one: -abs(one.difference))
        if not resolved_pairs:
            pairs = format_count(len(outcome.interactions), "pair")
            yield f"Whether two values do together what they do not do alone is not resolved ({pairs})."
        else:
            one = resolved_pairs[0]
            than = "better" if one.difference < 0 else "worse"
            both = f"{one.first[0]} {one.first[1]} and {one.second[0]} {one.second[1]}"
            yield f"{both} together are {format_difference(one.difference, one.interval)} {than} than the sum of what each does alone."


def _describe_front(outcome: StudyOutcome) -> Iterator[str]:
    """Name the arms that are worth their FLOPs."""
    front = next((front for front in outcome.fronts if front.cost == "flops"), None)
    ranked = all(one.interval is None for one in outcome.comparisons)  # single seeds: no finding
    if front is None or ranked or len({round(one.cost / front.arms[0].cost, 2) for one in front.arms}) == 1:
        return
    best = [one.arm for one in front.arms if one.on_front]
    ties = [one.arm for one in front.arms if one.ties and not one.on_front]
    tied = f" ({format_list(ties, SHOWN)} cannot be told from {choose_form(best, 'it', 'them')})" if ties else ""
    yield f"For their FLOPs no arm is better than {format_list(best, SHOWN)}{tied}."


def _describe_matching(outcome: StudyOutcome) -> str:
    """Say what every arm was given."""
    study = outcome.plan.study
    equal = format_list([QUANTITIES[what].noun for what in study.match]) if study.match else None
    given = f"Every arm was to get the same {equal}" if equal else "The arms were matched on nothing"
    tuned = f" and {len(study.lr_factors)} learning rates, the best chosen on validation" if study.tunes_learning_rates else ""
    count = len([one for one in outcome.comparisons if one.adjusted_p_value is not None])
    together = f"; {count} comparisons with the base were corrected together (Dunnett)" if count > 1 else ""
    return f"{given}{tuned}{together}."


def _count_doubts(outcome: StudyOutcome) -> Iterator[str]:
    finished = sum(run.finished for run in outcome.all_runs)
    part = "" if finished == len(outcome.all_runs) else f"Only {finished} of {format_count(len(outcome.all_runs), 'run')} are finished"
    warned = f"{format_count(len(outcome.warnings), 'warning')} below {choose_form(outcome.warnings, 'limits', 'limit')} what this says"
    if part and outcome.warnings:
        yield f"{part}, and {warned}."
    elif part or outcome.warnings:
        yield f"{part or warned}."
