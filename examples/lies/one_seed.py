"""Lie 5: one run against one run, each with a seed of its own, and the better one is called the better method.

An interval over documents says how much the difference depends on the choice of text. It says nothing of the seed, which decides the
initial weights, the order of the data and the dropout; so between two seeds of one configuration it excludes 0 far too often.
"""

from statistics import fmean, stdev

import assay
from lies.runs import Settings, Shown

TITLE = "One seed against another"
STEPS, SEEDS = 100, 10


def show(settings: Settings) -> Shown:
    """Train one configuration with ten seeds, compare every two as if they were two methods, and then five with five."""
    seeds = range(settings.scale(SEEDS))
    runs = [settings.train("bible", settings.scale(STEPS), seed=seed) for seed in seeds]
    bits = {f"seed {settings.seed + seed}": run.score(checkpoint="last").bits_per_byte for seed, run in zip(seeds, runs, strict=True)}
    pairs = [found.pair["text"] for found in assay.compare(*runs, all_pairs=True, checkpoint="last").pairs]
    half = len(runs) // 2
    verdict = assay.compare(runs[:half], runs[half:], checkpoint="last").verdict

    best, worst = min(bits, key=bits.__getitem__), max(bits, key=bits.__getitem__)
    largest = max(pairs, key=lambda pair: abs(pair["difference"]))
    low, high = largest["interval"]
    excluded, after_holm = (sum(pair[key] < 0.05 for pair in pairs) for key in ("probability", "adjusted_probability"))
    share = f"{100 * excluded / len(pairs):.0f} %"
    beyond = "is well beyond its" if abs(largest["difference"]) > high - low else "has the"
    rows = [(name, f"{one:.4f}", {best: "my method", worst: "baseline"}.get(name, "")) for name, one in bits.items()]
    summary = [
        ("mean over seeds", f"{fmean(bits.values()):.4f}"),
        ("standard deviation over seeds", f"{stdev(bits.values()):.4f}"),
        ("best to worst", f"{bits[worst] - bits[best]:.4f}"),
        ("half of the interval over documents, of one pair", f"{(high - low) / 2:.4f}"),
        ("pairs of seeds whose interval excludes 0", f"{excluded} of {len(pairs)} ({share})"),
        ("after Holm over all pairs", f"{after_holm} of {len(pairs)}"),
    ]
    return Shown(
        claim=f"My method reaches {bits[best]:.4f} bits per byte and the baseline {bits[worst]:.4f}; the difference of "
        f"{abs(largest['difference']):.4f} {beyond} 95 % interval over documents, +- {(high - low) / 2:.4f}.",
        tables=[[("bits per byte", "validation", ""), *rows], [("", ""), *summary]],
        wrong=f"Method and baseline are one configuration; only the seed differs. Of the {len(pairs)} pairs, {excluded} ({share}) are "
        '"significant" by that interval, where 5 % would be if it covered the seed as well.',
        right="`assay compare` calls single runs a ranking, not a finding, and of several runs an arm it compares "
        f'means over seeds. The first {half} of these against the other {len(runs) - half}: "{verdict}".',
        figures={"bits": bits, "pairs": len(pairs), "excluded": excluded, "after_holm": after_holm, "verdict": verdict},
    )
