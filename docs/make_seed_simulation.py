"""Simulate studies whose truth is known, and print the table of docs/study-statistics.md, in about 20 minutes.

Each study has one base and 39 arms. A seed adds noise of 0.004 to all arms alike, and each run has 0.005 of its own.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from assay.statistics.seed_noise import SeedNoise
from assay.statistics.seeds import AdjustedDifference, compare_pairs, estimate_contrast
from assay.statistics.significance import holm

ARMS, COMMON, OWN, BETTER = 40, 0.004, 0.005, 10
Table = np.ndarray  # figures [A, S]
CASES = ("equal noise", "one arm with 3 times the noise", "four such arms", "heavy tails (t, 3 degrees)", "a base with 3 times the noise")


def make_study(random: np.random.Generator, case: str, seeds: int, effect: float = 0.0) -> Table:
    """Draw the figures of a study; the last ten arms are worse by `effect`."""
    noise = random.standard_t(3, (ARMS, seeds)) / np.sqrt(3) if case == CASES[3] else random.normal(size=(ARMS, seeds))
    scale = np.full(ARMS, OWN)
    noisy = {CASES[1]: slice(1, 2), CASES[2]: slice(1, 5), CASES[4]: slice(0, 1)}
    scale[noisy.get(case, slice(0, 0))] *= 3
    table = scale[:, None] * noise + COMMON * random.normal(size=seeds)
    table[-BETTER:] += effect
    return table


def compare(table: Table, seeds: int) -> list[AdjustedDifference]:
    """Compare every arm with the base, which has all columns of the table; the others have the first `seeds`."""
    arms = [dict(enumerate(row[: None if place == 0 else seeds].tolist())) for place, row in enumerate(table)]
    return compare_pairs(SeedNoise(arms, blocked=True), [(0, arm) for arm in range(1, ARMS)])


def compare_by_pairs(table: Table) -> list[bool]:
    """Which arms a paired t test with Holm's correction tells from the base."""
    return [p < 0.05 for p in holm([float(stats.ttest_rel(table[0], row).pvalue) for row in table[1:]])]


def print_row(label: str, values: Iterator[float]) -> None:
    sys.stdout.write(f"| {label} | " + " | ".join(f"{100 * value:.1f} %" for value in values) + " |\n")


def measure(studies: int, seeds: int, base_seeds: int) -> None:
    """Print the rows of so many seeds: false alarms a study, coverage of single intervals, and power beside that of paired t tests."""
    random = np.random.default_rng(seeds)
    alarms, covered = [], []
    for case in CASES:
        found = [compare(make_study(random, case, base_seeds), seeds) for _ in range(studies)]
        alarms.append(np.mean([any(one.adjusted_p_value < 0.05 for one in study) for study in found]))
        covered.append(np.mean([one.estimate.interval.p_value >= 0.05 for study in found for one in study]))
    label = f"{seeds}" if base_seeds == seeds else f"{seeds}, the base {base_seeds}"
    print_row(f"{label}: false alarms", iter(alarms))
    print_row(f"{label}: coverage", iter(covered))
    for effect in (0.01, 0.015, 0.02, 0.03):
        tables = [make_study(random, CASES[0], base_seeds, effect) for _ in range(max(20, studies // 10))]
        ours = np.mean([[one.adjusted_p_value < 0.05 for one in compare(table, seeds)[-BETTER:]] for table in tables])
        theirs = np.mean([compare_by_pairs(table[:, :seeds])[-BETTER:] for table in tables])
        sys.stdout.write(f"| {label}: {effect:.3f} found | {100 * ours:.0f} %, by paired t and Holm {100 * theirs:.0f} % |\n")


def measure_ranks(studies: int, base_seeds: int) -> None:
    """Print how often a single seed without any effect is placed beyond what the seeds of the base make of it."""
    random, beyond = np.random.default_rng(1), []
    for _ in range(studies):
        table = make_study(random, CASES[0], base_seeds)
        noise = SeedNoise([dict(enumerate(row[: None if place == 0 else 1].tolist())) for place, row in enumerate(table)], blocked=True)
        beyond += [estimate_contrast(noise, {0: 1.0, arm: -1.0}).interval.p_value < 0.05 for arm in range(1, ARMS)]
    sys.stdout.write(f"| 1, the base {base_seeds}: placed beyond | {100 * np.mean(beyond):.1f} % of arms |\n")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    tasks: list[Callable[[], None]] = [lambda: measure_ranks(count, 5)]
    tasks += [lambda s=s, b=b: measure(count, s, b) for s, b in ((2, 2), (3, 3), (3, 5), (5, 5))]  # type: ignore[misc]
    for task in tasks:
        task()
