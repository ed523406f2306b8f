"""`python benchmarks/start_time.py [REPEATS]`: the processor time that commands take to answer, beside that of `import torch`.

User and system time of the whole process, the median of the repeats, which take turns so that what else the machine does falls on all
alike. A command that trains nothing should take at most a fifth of what importing torch does.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping

TORCH = "import torch"
SHARE = 0.2
COMMANDS = ("--help", "--version", "runs", "runs --json", "kinds", "kinds --json", "kinds mixer", "train --help", "study run --help")
LINES = ("assay tr", "assay train b", "assay show gpt", "assay train bible --dr")  # that a shell asks to complete


def seconds(arguments: list[str], environment: Mapping[str, str], folder: str) -> float:
    """The processor time of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env={**os.environ, **environment}, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repeats", nargs="?", type=int, default=5)
    repeats = parser.parse_args().repeats
    cases: dict[str, tuple[list[str], dict[str, str]]] = {TORCH: (["-c", TORCH], {})}
    cases |= {f"assay {command}": (["-m", "assay", *command.split()], {}) for command in COMMANDS}
    for line in LINES:
        request = {"_ASSAY_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        cases[f"completing `{line}`"] = (["-m", "assay"], request)
    taken: dict[str, list[float]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, (arguments, environment) in cases.items():
                taken[name].append(seconds(arguments, environment, folder))
    torch = statistics.median(taken[TORCH])
    for name, times in taken.items():
        share = statistics.median(times) / torch
        print(f"{name:<36} {statistics.median(times):.3f} s   {share:>6.1%}{'' if share <= SHARE or name == TORCH else '   too long'}")


if __name__ == "__main__":
    main()
