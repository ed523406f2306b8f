"""From a file to a search that may run: a search file or a W&B sweep, its base, and what can be refused before anything is trained."""

from pathlib import Path
from typing import NamedTuple

from assay.core.config import Tree
from assay.data.plan import Plan
from assay.data.prepare import Prepared
from assay.errors import ConfigError
from assay.experiment.budget import budgeted_steps, steps_of
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.jobs.worker import prepare_base
from assay.searches import sweep
from assay.searches.file import SearchConfig
from assay.searches.folder import SearchFolder
from assay.searches.journal import sampler

SWEEPS = (".yaml", ".yml")


class Asked(NamedTuple):
    """What a person asks for beside the file."""

    scale: str | None = None
    trials: int | None = None
    base: str | None = None  # of a W&B sweep, which knows none
    data_dir: Path | None = None


def read(path: Path, asked: Asked) -> tuple[SearchConfig, tuple[str, ...]]:
    """The search in a file, and the keys of a W&B sweep that have no meaning here. Raises ConfigError, naming the file."""
    if path.suffix not in SWEEPS:
        if asked.base is not None:
            raise ConfigError("--base", f"is for a W&B sweep, and {path} names its base itself; leave it out")
        over = {} if asked.trials is None else {"trials": asked.trials}
        return SearchConfig.load(path, asked.scale, over), ()
    try:
        tree, left_out = from_sweep(path, asked)
        return SearchConfig.of(tree, Path()), left_out
    except ConfigError as wrong:
        raise ConfigError(f"{path}: {wrong.path}" if wrong.path else str(path), wrong.reason) from None


def from_sweep(path: Path, asked: Asked) -> tuple[Tree, tuple[str, ...]]:
    """A W&B sweep as a search file's tree, and the keys that have no meaning here. Raises ConfigError."""
    if asked.base is None:
        raise ConfigError("--base", "is missing: a W&B sweep knows its program, not its recipe; give one, such as --base bible")
    found = sweep.translate(sweep.read(path), asked.base)
    tree = {**found.tree}
    if asked.scale is not None:
        tree["scale"] = asked.scale
    if asked.trials is not None:
        tree["trials"] = asked.trials
    if found.early is not None:
        base = base_of(SearchConfig.of(tree, Path()))
        prepared = load_data(base, asked.data_dir)
        tokens = found.early.first * _tokens(base, prepared, base.train.validate_every)
        tree["pruner"] = {"kind": "asha", "min_tokens": tokens, "reduction": found.early.reduction}
    space = tree.pop("space")
    return {**tree, "space": space}, found.left_out


def base_of(config: SearchConfig) -> ExperimentConfig:
    """What every trial differs from. Raises ConfigError."""
    overrides = [*config.set, f"train.seed={config.seeds[0]}", *([f'train.budget="{config.budget}"'] if config.budget else [])]
    return ExperimentConfig.load(config.base, overrides, config.scale)


def prepare(search: SearchFolder, data_dir: Path | None) -> None:
    """Refuse what cannot work before anything is trained, and make sure of text, device and libraries. Raises UserError."""
    sampler(search.config, 0)
    search.check()
    _ = search.matching  # the budget of the base must be in a unit for it
    prepared = prepare_base(search.base, data_dir)
    pruner = search.config.pruner
    if pruner is not None:
        plan = _plan(search.base, prepared)
        steps = budgeted_steps(search.base, plan, prepared.tokenizer.size)
        rung = steps_of(f"{pruner.min_tokens}tokens", plan, search.base.plan)
        if steps is not None and rung is not None and rung >= steps:
            whole = round(steps * plan.targets_per_epoch / plan.steps_per_epoch)
            raise ConfigError(
                "pruner.min_tokens", f"{pruner.min_tokens:,} is no less than the {whole:,} tokens of the whole budget; lower it"
            )


def _tokens(base: ExperimentConfig, prepared: Prepared, amount: str) -> int:
    """An amount of training, such as `0.5epochs`, in tokens."""
    plan = _plan(base, prepared)
    steps = steps_of(amount, plan, base.plan)
    assert steps is not None
    return max(1, round(max(1, steps) * plan.targets_per_epoch / plan.steps_per_epoch))


def _plan(base: ExperimentConfig, prepared: Prepared) -> Plan:
    return base.plan.build(prepared.parts["train"], prepared.tokenizer.end, base.train.seed, prepared.fingerprint)
