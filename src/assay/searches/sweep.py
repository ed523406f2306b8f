"""A sweep file of Weights & Biases as a search file. What cannot be said there is refused with a sentence, never left out silently.

`method`, `metric`, `parameters` (nested ones too), `early_terminate` and `run_cap` are translated; keys that say how W&B is to start a
program have no meaning here and are named in a note. YAML reads `1e-4` as a word: words that are numbers become numbers.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from assay.core.config import Tree
from assay.errors import ConfigError, UserError, nearest
from assay.variation.metric import METRICS

SAMPLERS = {"grid": "grid", "random": "random", "bayes": "tpe"}
LOSSES = ("loss", "val_loss", "validation_loss", "eval_loss", "val/loss", "eval/loss", "validation/loss")  # nats a token, nearly everywhere
ELSEWHERE = ("program", "command", "project", "entity", "job", "image_uri", "$schema")  # how W&B starts a program
KNOWN = ("method", "metric", "parameters", "early_terminate", "run_cap", "name", "description", *ELSEWHERE)
SAYS = ("value", "values", "min", "max", "distribution", "q", "parameters")  # what a parameter may have
UNTRANSLATED = {
    "log_uniform": "its limits are exponents; write log_uniform_values with the values themselves",
    "inv_log_uniform": "Assay has no such distribution; write log_uniform_values",
    "inv_log_uniform_values": "Assay has no such distribution; write log_uniform_values",
    "q_log_uniform": "a lattice on a logarithmic scale is not to be had; write log_uniform_values, or values",
    "q_log_uniform_values": "a lattice on a logarithmic scale is not to be had; write log_uniform_values, or values",
    **dict.fromkeys(("normal", "q_normal", "log_normal", "q_log_normal"), "it has no limits; write uniform or log_uniform_values"),
    **dict.fromkeys(("beta", "q_beta"), "Assay has no such distribution; write uniform"),
    "categorical_w_probabilities": "values cannot have probabilities; write categorical",
}  # fmt: skip
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
ETA = 3  # W&B's own default


class Early(NamedTuple):
    """What `early_terminate` says, in validations, which are W&B's iterations here."""

    first: int
    reduction: int


class Translated(NamedTuple):
    """A sweep as a search file's tree, without what only the base can tell."""

    tree: Tree
    early: Early | None
    left_out: tuple[str, ...]  # keys without a meaning here


def read(path: Path) -> Tree:
    """The tree in a YAML file. Raises ConfigError, and UserError where the library is missing."""
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        raise UserError("a W&B sweep is YAML, which needs pyyaml; pip install 'assay[search]'") from None
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("", f"no sweep file {path}; give the path of a W&B sweep in YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError) as broken:
        raise ConfigError("", f"{path} is not valid YAML: {' '.join(str(broken).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError("", f"{path} is no W&B sweep; it needs the keys method and parameters")
    return tree


def translate(sweep: Mapping[str, Any], base: str) -> Translated:
    """A sweep over the recipe `base`. Raises ConfigError with the place of the first thing that has no counterpart."""
    for key in sweep:
        if key not in KNOWN:
            raise ConfigError(str(key), f"is no key of a sweep that Assay can translate; {nearest(str(key), KNOWN)}")
    method = sweep.get("method")
    if method not in SAMPLERS:
        raise ConfigError("method", f"is '{method}'; {nearest(str(method), SAMPLERS)}")
    parameters = _table("parameters", sweep.get("parameters"))
    fixed: list[str] = []
    space: Tree = {}
    for place, key, says in _parameters(parameters):
        if "value" in says:
            fixed.append(f"{key}={_written(place, says)}")
        else:
            space[key] = _dimension(place, says)
    question = sweep.get("description") or f"Which values of {', '.join(space)} are best?"
    tree: Tree = {"question": str(question), "base": base, "sampler": SAMPLERS[method], "metric": _metric(sweep.get("metric"))}
    if fixed:
        tree["set"] = fixed
    if sweep.get("run_cap") is not None:
        tree["trials"] = sweep["run_cap"]
    return Translated({**tree, "space": space}, _early(sweep.get("early_terminate")), tuple(key for key in ELSEWHERE if key in sweep))


def _parameters(table: Mapping[str, Any], place: str = "parameters", key: str = "") -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each parameter with its place in the file and its dotted key; nested ones joined."""
    for name, given in table.items():
        here, path = f"{place}.{name}", f"{key}.{name}" if key else str(name)
        says = _table(here, given)
        for word in says:
            if word == "probabilities":
                raise ConfigError(f"{here}.{word}", f"cannot be translated: {UNTRANSLATED['categorical_w_probabilities']}")
            if word in ("mu", "sigma", "a", "b"):
                raise ConfigError(f"{here}.{word}", f"cannot be translated: {UNTRANSLATED['normal']}")
            if word not in SAYS:
                raise ConfigError(f"{here}.{word}", f"is not known of a parameter; {nearest(str(word), SAYS)}")
        if "parameters" in says:
            yield from _parameters(_table(f"{here}.parameters", says["parameters"]), f"{here}.parameters", path)
        else:
            yield here, path, says


def _dimension(place: str, says: Mapping[str, Any]) -> Tree:
    """The values of one parameter, as a search file has them."""
    given = says.get("distribution")
    if given in UNTRANSLATED:
        raise ConfigError(f"{place}.distribution", f"{given} cannot be translated: {UNTRANSLATED[given]}")
    if "values" in says or given == "categorical":
        values = says.get("values")
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{place}.values", "expects a list of values")
        return {"choice": [number(value) for value in values]}
    low, high = _limit(place, says, "min"), _limit(place, says, "max")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = given or ("int_uniform" if whole else "uniform")
    if kind == "int_uniform":
        if not whole:
            raise ConfigError(f"{place}.min", f"int_uniform needs whole numbers, and these are {low} and {high}")
        return {"int": [low, high]}
    if kind == "uniform":
        return {"uniform": [float(low), float(high)]}
    if kind == "log_uniform_values":
        return {"log": [float(low), float(high)]}
    if kind == "q_uniform":
        return _lattice(low, high, number(says.get("q", 1)))
    known = ("categorical", "constant", "int_uniform", "uniform", "log_uniform_values", "q_uniform")
    raise ConfigError(f"{place}.distribution", f"'{kind}' is not known; {nearest(str(kind), known)}")


def _lattice(low: float, high: float, step: Any) -> Tree:
    """W&B rounds to multiples of q, whatever the limits are."""
    first, last = (round(limit / step) * step for limit in (low, high))
    if all(isinstance(value, int) for value in (first, last, step)):
        return {"int": [first, last], "step": step}
    return {"uniform": [float(first), float(last)], "step": float(step)}


def _limit(place: str, says: Mapping[str, Any], word: str) -> Any:
    value = number(says.get(word))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{place}.{word}", f"expects a number, not {value!r}; give min and max, values, or value")
    return value


def _written(place: str, says: Mapping[str, Any]) -> str:
    """A fixed value as an override has it."""
    value = number(says["value"])
    if value is None or isinstance(value, dict | list):
        raise ConfigError(f"{place}.value", f"cannot be translated: {value!r} is no number, word or truth value")
    return str(value).lower() if isinstance(value, bool) else str(value)


def number(value: Any) -> Any:
    """A word that is a number as that number, in lists and tables as well: YAML takes 1e-4 for a word."""
    if isinstance(value, list):
        return [number(item) for item in value]
    if isinstance(value, dict):
        return {key: number(item) for key, item in value.items()}
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


def _metric(metric: Any) -> str:
    metric = _table("metric", metric or {"name": "bits_per_byte"})
    for word in metric:
        if word not in ("name", "goal"):
            raise ConfigError(f"metric.{word}", f"cannot be translated; {nearest(str(word), ('name', 'goal'))}")
    name = str(metric.get("name", ""))
    found = "nats_per_token" if name in LOSSES else name
    if found not in METRICS:
        raise ConfigError("metric.name", f"'{name}' is no figure of Assay; {nearest(name, METRICS)}")
    best = "maximize" if METRICS[found].higher_is_better else "minimize"
    if metric.get("goal", "minimize") != best:
        raise ConfigError("metric.goal", f"{name} is better the {'higher' if best == 'maximize' else 'lower'} it is; write {best}")
    return found


def _early(says: Any) -> Early | None:
    """Hyperband as successive halving: its first bracket, in validations."""
    if says is None:
        return None
    says = _table("early_terminate", says)
    for word in says:
        if word not in ("type", "min_iter", "max_iter", "s", "eta"):
            raise ConfigError(f"early_terminate.{word}", "cannot be translated; leave it out")
    if says.get("type") != "hyperband":
        raise ConfigError("early_terminate.type", f"is '{says.get('type')}'; only hyperband can be translated")
    eta = says.get("eta", ETA)
    if not isinstance(eta, int) or eta < 2:
        raise ConfigError("early_terminate.eta", f"expects a whole number of 2 or more, not {eta!r}")
    if "min_iter" in says:
        return Early(int(says["min_iter"]), eta)
    if "max_iter" in says and "s" in says:
        return Early(max(1, math.floor(says["max_iter"] / eta ** says["s"])), eta)
    raise ConfigError("early_terminate", "needs min_iter, or max_iter and s")


def _table(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(place, "is missing; add it" if value is None else f"expects keys and values, not {value!r}")
    return value
