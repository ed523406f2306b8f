"""Translating a sweep file of Weights & Biases to a search file. What has no counterpart is refused, not left out.

`method`, `metric`, `parameters` (nested ones too, and those with other programs' names, such as `n_layer`), `early_terminate` and `run_cap`
are translated; keys that say how W&B is to start a program have no meaning here and are named in a note. YAML reads `1e-4` as a word: words
that are numbers become numbers.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from assay.core.install import write_assay_line
from assay.core.renames import update
from assay.core.trees import MAX_NUMBER, Tree
from assay.errors import ConfigError, UserError, suggest
from assay.searches.foreign_parameters import find_foreign_setting, translate_fixed, translate_varied
from assay.variation.metric import METRICS

SAMPLERS = {"grid": "grid", "random": "random", "bayes": "tpe"}
LOSSES = ("loss", "val_loss", "validation_loss", "eval_loss", "val/loss", "eval/loss", "validation/loss")  # nats a token, nearly everywhere
IGNORED_KEYS = ("program", "command", "project", "entity", "job", "image_uri", "$schema")  # how W&B starts a program
KNOWN = ("method", "metric", "parameters", "early_terminate", "run_cap", "name", "description", *IGNORED_KEYS)
PARAMETER_KEYS = ("value", "values", "min", "max", "distribution", "q", "parameters")  # what a parameter may have
UNTRANSLATED: dict[object, str] = {
    "log_uniform": "its limits are exponents; write log_uniform_values with the values themselves",
    "inv_log_uniform": "Assay has no such distribution; write log_uniform_values",
    "inv_log_uniform_values": "Assay has no such distribution; write log_uniform_values",
    "q_log_uniform": "a lattice on a logarithmic scale does not exist here; write log_uniform_values, or values",
    "q_log_uniform_values": "a lattice on a logarithmic scale does not exist here; write log_uniform_values, or values",
    **dict.fromkeys(("normal", "q_normal", "log_normal", "q_log_normal"), "it has no limits; write uniform or log_uniform_values"),
    **dict.fromkeys(("beta", "q_beta"), "Assay has no such distribution; write uniform"),
    "categorical_w_probabilities": "values cannot have probabilities; write categorical",
}  # fmt: skip
UNTRANSLATED_KEYS = {"probabilities": "categorical_w_probabilities", **dict.fromkeys(("mu", "sigma", "a", "b"), "normal")}
DISTRIBUTIONS = ("categorical", "constant", "int_uniform", "uniform", "log_uniform_values", "q_uniform")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MAX_BRACKETS = 200  # of which each halves at least: more leave one validation
LARGEST = 100_000  # values in a sweep
ETA = 3  # W&B's own default


class EarlyTermination(NamedTuple):
    """The first rung of `early_terminate`, in validations, which are W&B's iterations here."""

    min_validations: int
    reduction: int


class TranslatedSweep(NamedTuple):
    """A sweep as a search file's tree, without what only the base can tell."""

    tree: Tree
    early_termination: EarlyTermination | None
    ignored_keys: tuple[str, ...]  # keys without a meaning here


def read_sweep(path: Path) -> Tree:
    """Read the tree in a YAML file. Raises ConfigError, and UserError where the library is missing."""
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        raise UserError(f"a W&B sweep is YAML, which needs pyyaml; install it with: {write_assay_line('search')}") from None
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("", f"no sweep file {path}; give the path of a W&B sweep in YAML") from None
    except RecursionError:
        raise ConfigError("", f"{path} is nested too deeply; write fewer brackets") from None
    except (yaml.YAMLError, ValueError) as broken:  # of the syntax, of the bytes, or of a number too long to read
        raise ConfigError("", f"{path} is not valid YAML: {' '.join(str(broken).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError("", f"{path} is no W&B sweep; it needs the keys method and parameters")
    if not _is_bounded(tree):
        raise ConfigError("", f"{path} has more than {LARGEST:,} values, its aliases (*name) written out; write fewer")
    return tree


def _is_bounded(tree: Any) -> bool:
    """Whether there is an end of a tree soon: an alias may repeat what repeats others, or itself."""
    left, seen = [tree], 0
    while left and seen <= LARGEST:
        node = left.pop()
        seen += 1
        left.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list | set | tuple) else ())
    return not left


def translate_sweep(sweep: Mapping[str, Any], base: str) -> TranslatedSweep:
    """Translate a sweep over the recipe `base`. Raises ConfigError with the place of the first thing that has no counterpart."""
    for key in sweep:
        if key not in KNOWN:
            raise ConfigError(str(key), f"is no key of a sweep that Assay can translate; {suggest(str(key), KNOWN)}")
    method = sweep.get("method")
    if not isinstance(method, str) or method not in SAMPLERS:
        raise ConfigError("method", f"is '{method}'; {suggest(str(method), SAMPLERS)}")
    parameters = _table("parameters", sweep.get("parameters"))
    fixed, space, without_meaning = _translate_parameters(parameters)
    question = sweep.get("description") or f"Which values of {', '.join(space)} are best?"
    tree: Tree = {"question": str(question), "base": base, "sampler": SAMPLERS[method], "metric": _translate_metric(sweep.get("metric"))}
    if fixed:
        tree["set"] = fixed
    if sweep.get("run_cap") is not None:
        tree["trials"] = sweep["run_cap"]
    ignored = (*(key for key in IGNORED_KEYS if key in sweep), *without_meaning)
    return TranslatedSweep(update({**tree, "space": space}), _translate_early_termination(sweep.get("early_terminate")), ignored)


def _translate_parameters(parameters: Mapping[str, Any]) -> tuple[list[str], Tree, list[str]]:
    """Translate all parameters: to overrides, to a space, and those that are no settings here, by their names."""
    fixed: dict[str, str] = {}
    space: Tree = {}
    without_meaning: list[str] = []
    for place, key, parameter in _list_parameters(parameters):
        foreign = find_foreign_setting(key)
        if "value" not in parameter:
            ours, values = key, _translate_values(place, parameter)
            if foreign is not None:
                ours, values = translate_varied(place, foreign, values)
            _refuse_repeat(place, ours, {**fixed, **space})
            space[ours] = values
        elif foreign is not None and foreign.no_setting is not None:
            without_meaning.append(key)
        else:
            value = parse_number(parameter["value"])
            for ours, each in ({key: value} if foreign is None else translate_fixed(place, foreign, value)).items():
                _refuse_repeat(place, ours, {**fixed, **space})
                fixed[ours] = _format_fixed(place, each)
    return [f"{key}={value}" for key, value in fixed.items()], space, without_meaning


def _refuse_repeat(place: str, key: str, known: Collection[str]) -> None:
    if key in known:
        raise ConfigError(place, f"is {key} here, which is set before; keep one of them")


def _list_parameters(table: Mapping[str, Any], place: str = "parameters", key: str = "") -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """List each parameter with its place in the file and its dotted key; nested ones joined."""
    for name, value in table.items():
        here, path = f"{place}.{name}", f"{key}.{name}" if key else str(name)
        parameter = _table(here, value)
        for word in parameter:
            if word in UNTRANSLATED_KEYS:
                raise ConfigError(f"{here}.{word}", f"cannot be translated: {UNTRANSLATED[UNTRANSLATED_KEYS[word]]}")
            if word not in PARAMETER_KEYS:
                raise ConfigError(f"{here}.{word}", f"is not known of a parameter; {suggest(str(word), PARAMETER_KEYS)}")
        if "parameters" in parameter:
            yield from _list_parameters(_table(f"{here}.parameters", parameter["parameters"]), f"{here}.parameters", path)
        else:
            yield here, path, parameter


def _translate_values(place: str, parameter: Mapping[str, Any]) -> Tree:
    """Translate the values of one parameter to those of a key in a search file."""
    kind = parameter.get("distribution")
    if not isinstance(kind, str | None):
        raise ConfigError(f"{place}.distribution", f"{kind!r} is not known; {suggest('', DISTRIBUTIONS)}")
    if kind in UNTRANSLATED:
        raise ConfigError(f"{place}.distribution", f"{kind} cannot be translated: {UNTRANSLATED[kind]}")
    if "values" in parameter or kind == "categorical":
        values = parameter.get("values")
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{place}.values", "expects a list of values")
        return {"choice": [parse_number(value) for value in values]}
    low, high = _read_limit(place, parameter, "min"), _read_limit(place, parameter, "max")
    whole = isinstance(low, int) and isinstance(high, int)
    if kind not in (None, *DISTRIBUTIONS):
        raise ConfigError(f"{place}.distribution", f"'{kind}' is not known; {suggest(str(kind), DISTRIBUTIONS)}")
    if kind == "int_uniform" and not whole:
        raise ConfigError(f"{place}.min", f"int_uniform needs whole numbers, and these are {low} and {high}")
    if kind == "q_uniform":
        return _translate_lattice(low, high, _read_number(f"{place}.q", parameter.get("q", 1), above=0))
    if kind == "int_uniform" or (kind is None and whole):
        return {"int": [low, high]}
    return {"log" if kind == "log_uniform_values" else "uniform": [float(low), float(high)]}


def _translate_lattice(low: float, high: float, step: Any) -> Tree:
    """W&B rounds to multiples of q, whatever the limits are."""
    first, last = (round(limit / step) * step for limit in (low, high))
    if all(isinstance(value, int) for value in (first, last, step)):
        return {"int": [first, last], "step": step}
    return {"uniform": [float(first), float(last)], "step": float(step)}


def _read_limit(place: str, parameter: Mapping[str, Any], word: str) -> Any:
    return _read_number(f"{place}.{word}", parameter.get(word), remedy="; give min and max, values, or value")


def _read_number(place: str, given: Any, *, above: float = -MAX_NUMBER, whole: bool = False, remedy: str = "") -> Any:
    """Check that a value is a number above a bound, and of a size that can be computed with. Raises ConfigError."""
    value = parse_number(given)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ConfigError(place, f"expects a {'whole ' if whole else ''}number, not {value!r}{remedy}")
    if not above < value <= MAX_NUMBER:
        raise ConfigError(place, f"expects a number above {above:g} and of at most {MAX_NUMBER:g}")
    return value


def _format_fixed(place: str, value: Any) -> str:
    """Format a fixed value as it is written in an override."""
    if value is None or isinstance(value, dict | list):
        raise ConfigError(f"{place}.value", f"cannot be translated: {value!r} is no number, word or truth value")
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_number(value: Any) -> Any:
    """Convert words that are numbers, in lists and tables as well: YAML takes 1e-4 for a word."""
    if isinstance(value, list):
        return [parse_number(item) for item in value]
    if isinstance(value, dict):
        return {key: parse_number(item) for key, item in value.items()}
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


def _translate_metric(metric: Any) -> str:
    metric = _table("metric", metric or {"name": "bits_per_byte"}, ("name", "goal"))
    name = str(metric.get("name", ""))
    translated = "nats_per_token" if name in LOSSES else name
    if translated not in METRICS:
        raise ConfigError("metric.name", f"'{name}' is no figure of Assay; {suggest(name, METRICS)}")
    higher = METRICS[translated].higher_is_better
    goal = "maximize" if higher else "minimize"
    if metric.get("goal", "minimize") != goal:
        raise ConfigError("metric.goal", f"{name} is better the {'higher' if higher else 'lower'} it is; write {goal}")
    return translated


def _translate_early_termination(table: Any) -> EarlyTermination | None:
    """Translate hyperband to successive halving: its first bracket, in validations."""
    if table is None:
        return None
    table = _table("early_terminate", table, ("type", "min_iter", "max_iter", "s", "eta"))
    if table.get("type") != "hyperband":
        raise ConfigError("early_terminate.type", f"is '{table.get('type')}'; only hyperband can be translated")
    eta = table.get("eta", ETA)
    if not isinstance(eta, int) or eta < 2:
        raise ConfigError("early_terminate.eta", f"expects a whole number of 2 or more, not {eta!r}")

    def read(word: str, above: float) -> int:
        return int(_read_number(f"early_terminate.{word}", table[word], above=above, whole=True))

    if "min_iter" in table:
        return EarlyTermination(read("min_iter", 0), eta)
    if "max_iter" in table and "s" in table:
        brackets = min(read("s", -1), MAX_BRACKETS)
        return EarlyTermination(max(1, read("max_iter", 0) // eta**brackets), eta)
    raise ConfigError("early_terminate", "needs min_iter, or max_iter and s")


def _table(place: str, value: Any, known: Collection[str] | None = None) -> Mapping[str, Any]:
    """Check the keys and values at a place. Raises ConfigError where there are none, or one that is not known."""
    if not isinstance(value, Mapping):
        raise ConfigError(place, "is missing; add it" if value is None else f"expects keys and values, not {value!r}")
    unknown = next((key for key in value if known is not None and key not in known), None)
    if unknown is not None:
        raise ConfigError(f"{place}.{unknown}", f"cannot be translated; {suggest(str(unknown), known or ())}")
    return value
