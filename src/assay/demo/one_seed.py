"""Lie 5: one run against one run, each with a seed of its own, and the better one is called the better method.

An interval over documents says how much the difference depends on the choice of text. It says nothing of the seed, which decides the
initial weights, the order of the data and the dropout; so between two seeds of one configuration it excludes 0 far too often.
"""

from statistics import fmean, stdev
from typing import NamedTuple

from assay.demo.lie import Table, Told
from assay.demo.stage import Stage, scored, trained
from assay.evaluation.compare import Arm, Comparison, compare
from assay.evaluation.stored import Stored
from assay.evaluation.units import unit_arrays, unit_facts
from assay.evaluation.verdict import seed_verdict, text_verdict
from assay.statistics.interval import LEVEL

STEPS, SEEDS = 100, 10


class Pairs(NamedTuple):
    """What comparing every two seeds gave."""

    made: int
    excluded: int  # by their interval over documents, each pair by itself
    after_holm: int
    largest: Comparison
    verdict: str  # of the largest


def show(stage: Stage) -> Told:
    """Train one configuration with ten seeds, compare every two as if they were two methods, and then five with five."""
    runs = [_run(stage, seed) for seed in range(stage.count(SEEDS, 4))]
    arms = [Arm(run.name, (run,)) for run in runs]
    units, found = compare(arms, all_pairs=True)
    largest = max(found, key=lambda one: abs(one.text.difference))
    pairs = Pairs(
        made=len(found),
        excluded=sum(one.text.interval.probability < 1 - LEVEL for one in found),
        after_holm=sum(one.text.adjusted < 1 - LEVEL for one in found),
        largest=largest,
        verdict=text_verdict(largest, units, 1),
    )
    half = len(runs) // 2
    groups = [Arm("A", tuple(runs[:half])), Arm("B", tuple(runs[half:]))]
    _, (comparison,) = compare(groups)
    assert comparison.seeds is not None
    counts = len(groups[0].runs), len(groups[1].runs)
    return _told(runs, pairs, seed_verdict(comparison.pair, comparison.seeds, 1, counts), counts)


def _run(stage: Stage, seed: int) -> Stored:
    """The score of one seed by document."""
    config = stage.config("bible", stage.steps(STEPS), seed=seed)
    experiment = stage.experiment(config)
    trained(experiment)
    score = scored(experiment)
    arrays = unit_arrays(score.targets)
    figures = {**score.tree(), "units": unit_facts(score.targets)}
    return Stored(f"seed {config.train.seed}", figures, arrays["bytes"], arrays["bits"], config.tree(), {})


def _told(runs: list[Stored], pairs: Pairs, verdict: str, counts: tuple[int, int]) -> Told:
    figures = [run.bits_per_byte for run in runs]
    best, worst = min(runs, key=lambda run: run.bits_per_byte), max(runs, key=lambda run: run.bits_per_byte)
    text, share = pairs.largest.text, 100 * pairs.excluded / pairs.made
    half = text.interval.half
    beyond = "is well beyond its" if abs(text.difference) > 2 * half else "has the"
    rows = [(run.name, f"{run.bits_per_byte:.4f}", _mark(run, best, worst)) for run in runs]
    summary = [
        ("mean over seeds", f"{fmean(figures):.4f}"),
        ("standard deviation over seeds", f"{stdev(figures):.4f}"),
        ("best to worst", f"{worst.bits_per_byte - best.bits_per_byte:.4f}"),
        ("half of the interval over documents, of one pair", f"{half:.4f}"),
        ("pairs of seeds whose interval excludes 0", f"{pairs.excluded} of {pairs.made} ({share:.0f} %)"),
        ("after Holm over all pairs", f"{pairs.after_holm} of {pairs.made}"),
    ]
    return Told(
        claim=f"My method reaches {best.bits_per_byte:.4f} bits per byte and the baseline {worst.bits_per_byte:.4f}; the difference of "
        f"{abs(text.difference):.4f} {beyond} 95 % interval over documents, +- {half:.4f}.",
        tables=(Table(("bits per byte", "validation", ""), rows), Table(("", ""), summary)),
        wrong=f"Method and baseline are one configuration; only the seed differs. Of the {pairs.made} pairs, {pairs.excluded} "
        f'({share:.0f} %) are "significant" by that interval, where 5 % would be if it covered the seed as well. It does not: it asks '
        "what another choice of verses would have changed, and no other choice of verses changes the luck of the weights.",
        remedy="`assay compare` says beside every difference of single runs that it covers the text, not the seed, and with several seeds "
        f"an arm it compares means over seeds, with the spread of the seeds. The first {counts[0]} of these seeds against the other "
        f'{counts[1]}: "{verdict}".',
        figures={
            "bits_per_byte": figures,
            "standard_deviation": stdev(figures),
            "pairs": pairs.made,
            "pairs_excluding_0": pairs.excluded,
            "pairs_after_holm": pairs.after_holm,
            "largest_pair": pairs.verdict,
            "over_seeds": verdict,
        },
    )


def _mark(run: Stored, best: Stored, worst: Stored) -> str:
    return "my method" if run is best else "baseline" if run is worst else ""
