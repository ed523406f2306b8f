"""Which kinds the inner loop (`make test`) tries each property on: a few of each family, and all that has changed.

The rest carries the mark `slow` and is run by `make test-all`. What has changed is what git says differs from the commit at which this
branch left the main one. Without git there are the few alone.
"""

import inspect
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from assay.core.config import Config

ROOT = Path(__file__).parents[2]
MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")  # where the main branch may be found, the first one counts

# those that differ most from each other; a decoder of full attention that predicts the next token stands around all of them
FEW: Mapping[str, frozenset[str]] = {
    "mixer": frozenset({"local", "xl", "linear", "lstm"}),
    "cell": frozenset({"lstm"}),
    "feedforward": frozenset({"glu", "moe"}),
    "norm": frozenset({"rms_norm"}),
    "residual": frozenset({"mix"}),
    "position": frozenset({"rope", "relative"}),
    "activation": frozenset({"solu"}),
    "init": frozenset({"mup"}),
    "model": frozenset({"hourglass", "recurrent"}),
    "objective": frozenset({"multi_token"}),
    "optimizer": frozenset({"adamw", "muon"}),
    "schedule": frozenset({"cosine"}),
    "batches": frozenset({"windows", "streams"}),
    "split": frozenset({"shuffle"}),
    "tokenizer": frozenset({"bpe"}),
    "corpus": frozenset({"text"}),
}

# of those, the ones for properties that take seconds a kind
FEWER: Mapping[str, Mapping[str, frozenset[str]]] = {
    "compile parity": {"mixer": frozenset({"local", "xl"}), "model": frozenset({"hourglass"}), "feedforward": frozenset({"moe"})},
    "memorises": {"mixer": FEW["mixer"], "model": FEW["model"], "feedforward": frozenset({"moe"})},
}


def is_one_of_few(leaf: type[Config], law: str | None = None) -> bool:
    """Whether a kind stands for its family in the inner loop, where the property `law` is tried."""
    assert leaf.family is not None
    few = FEW if law is None else FEWER.get(law, FEW)
    return leaf.model_fields["kind"].default in few.get(leaf.family.name, ())


def has_changed(leaf: type[Config]) -> bool:
    """Whether the file of a kind has changed, or is not of this package."""
    return not leaf.__module__.startswith("assay.") or Path(inspect.getfile(leaf)).resolve() in changed_files()


@cache
def changed_files() -> frozenset[Path]:
    """The files that differ from the main branch, committed or not."""
    left = next(filter(None, (_git("merge-base", "HEAD", main) for main in MAIN)), ["HEAD"])[0]
    names = _git("diff", "--name-only", left) + _git("ls-files", "--others", "--exclude-standard", "--full-name")
    return frozenset((ROOT / name).resolve() for name in names)


def _git(*arguments: str) -> list[str]:
    """The lines that git prints; none where there is no git, or no such thing."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []
