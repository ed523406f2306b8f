"""Every kind of every model-side family, standing in its place of a tiny model: the cases of the property suite.

The registry is the list. A kind whose default settings are too large for T = 13 to tell anything (a window of 128, say)
gives small ones in a class attribute of its config, `tiny: ClassVar[dict[str, Any]] = {"window": 5}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

import assay.models.decoder
import assay.objective.base  # noqa: F401  # the families register when their modules are imported
from assay.core.config import FAMILIES, Config, config_class, is_family
from assay.core.trees import merge
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.recurrent import RecurrentConfig
from assay.nn.position.base import ModelSizes
from assay.objective.base import NextTokenConfig, ObjectiveConfig

SIDE = ("mixer", "cell", "feedforward", "norm", "residual", "position", "activation", "init", "model", "objective")
SMALL = {"width": 32, "depth": 2, "length": 64}
PREFERRED = ("learned", "rope", "none")  # the position that stands beside a mixer: the first one it accepts

Tree = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A kind with its settings, in a model and an objective that are otherwise plain."""

    family: str
    kind: str
    label: str  # what differs from the kind's plain case
    model: ModelConfig
    objective: ObjectiveConfig
    leaf: Config

    def __str__(self) -> str:
        return f"{self.family}/{self.kind}" + (f":{self.label}" if self.label else "")


@dataclass(frozen=True)
class Variation:
    """One field of one kind with two values, and what the difference must be seen in."""

    base: Case
    path: str
    bites: str
    changed: Case | None  # None where no second legal value is known
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.base}.{self.path}"


def case_of(leaf: Config, label: str = "", **decoder: Any) -> Case:
    """The case of one kind with its settings."""
    assert leaf.family is not None
    family, kind = leaf.family.name, type(leaf).model_fields["kind"].default
    objective: ObjectiveConfig = leaf if isinstance(leaf, ObjectiveConfig) else NextTokenConfig()
    return Case(family, kind, label, _model(leaf, decoder), objective, leaf)


def _model(leaf: Config, decoder: Tree) -> ModelConfig:
    if isinstance(leaf, ModelConfig):
        return leaf
    assert leaf.family is not None
    tree = leaf.to_dict()
    if leaf.family.name == "cell":
        return RecurrentConfig.make({**tiny(RecurrentConfig).to_dict(), "cell": tree})
    place: Mapping[str, Tree] = {
        "mixer": {"block": {"mixer": tree}},
        "feedforward": {"block": {"feedforward": tree}},
        "norm": {"block": {"norm": tree}},
        "residual": {
            "block": {"residual": tree, "placement": getattr(leaf, "allowed_placements", ("pre",))[0]},
            "init": {"outputs": "plain"},
        },
        "position": {"position": tree},
        "activation": {"block": {"feedforward": {"kind": "mlp", "activation": tree}}},
        "init": {"init": tree},
        "objective": {},
    }
    plain: Tree = {"width": SMALL["width"], "depth": SMALL["depth"], "position": {"kind": "learned", "length": 64}}
    if leaf.family.name == "mixer" and "position" not in decoder:
        plain["position"] = position(next(name for name in PREFERRED if name in accepted_positions(leaf)))
    return DecoderConfig.make(merge(merge(plain, place[leaf.family.name]), decoder))


def tiny(leaf: type[Config]) -> Config:
    """A kind's plain settings, small."""
    small = {key: value for key, value in SMALL.items() if key in leaf.model_fields}
    return leaf.make(merge(small, getattr(leaf, "tiny", {})))


def position(kind: str) -> Tree:
    """The plain settings of a position."""
    return tiny(FAMILIES["position"].kinds[kind]).to_dict()


def accepted_positions(mixer: Any) -> list[str]:
    """The positions that a mixer accepts."""
    accepts = mixer.build(SMALL["width"]).position_methods
    return [kind for kind in FAMILIES["position"].kinds if _enters(kind) <= accepts]


@cache
def _enters(kind: str) -> frozenset[str]:
    built: Any = tiny(FAMILIES["position"].kinds[kind])
    enters: frozenset[str] = built.build(ModelSizes(SMALL["width"], SMALL["depth"], (8,), (8,))).methods
    return enters


def variations(base: Case) -> Iterator[Variation]:
    """Every field of a kind with a second value."""
    yield from _fields(base, base.leaf, base.leaf.to_dict(), "")


def _fields(base: Case, config: Config, whole: Tree, prefix: str) -> Iterator[Variation]:
    for name, field in type(config).model_fields.items():
        if name == "kind":
            continue
        path, value = prefix + name, getattr(config, name)
        declared = field.json_schema_extra
        if not isinstance(declared, dict):
            yield Variation(base, path, "", None, "is not declared with setting(...)")
            continue
        bites = str(declared["affects"])
        part = config_class(field.annotation)
        if part is not None and not is_family(part) and isinstance(value, Config):
            yield from _fields(base, value, whole, f"{path}.")
            continue
        other = _other(config, name, declared["alternative"])
        if other is None:
            yield Variation(base, path, bites, None, "has no second legal value; give one as setting(..., alternative=...)")
            continue
        change: Any = other
        for key in reversed(path.split(".")):
            change = {key: change}
        leaf = type(base.leaf).make(merge(whole, change))
        yield Variation(base, path, bites, case_of(leaf, f"{path}={_short(other)}"))


def _other(config: Config, name: str, declared: Any) -> Any:
    """A second legal value of a field: the declared one, else its default, else one that its type suggests."""
    field, current = type(config).model_fields[name], getattr(config, name)
    plain = current.to_dict() if isinstance(current, Config) else current
    default = field.get_default(call_default_factory=True, validated_data={})
    choices = list(get_args(field.annotation)) if get_origin(field.annotation) is Literal else []
    guesses = [declared, default, *choices, *([not current] if isinstance(current, bool) else [])]
    if isinstance(current, float):
        guesses.append(current / 2)
    family = config_class(field.annotation)
    if family is not None and family.family is not None:
        guesses += list(family.family.kinds)
    for guess in guesses:
        if guess is not None and guess not in (current, plain):
            return guess
    return None


def _short(value: Any) -> str:
    text = str(value).replace("'", "").replace(" ", "")
    return text if len(text) < 40 else f"{text[:37]}..."


def plain_cases() -> list[Case]:
    """Each kind once."""
    return [case_of(tiny(leaf)) for family in SIDE for leaf in FAMILIES[family].kinds.values()]


def combined_cases() -> list[Case]:
    """Kinds together: mixers and the positions they accept, grouped and normalised keys, gates and activations."""
    cases = []
    for leaf in FAMILIES["mixer"].kinds.values():
        mixer = tiny(leaf)
        accepted = accepted_positions(mixer)
        first = next(name for name in PREFERRED if name in accepted)
        cases += [case_of(mixer, f"position={k}", position=position(k)) for k in accepted if k != first]
        if {"key_heads", "qk_norm"} <= set(leaf.model_fields) and "rope" in accepted:
            both = leaf.make({**mixer.to_dict(), "key_heads": 2, "qk_norm": True})
            cases.append(case_of(both, "key_heads=2,qk_norm,position=rope", position=position("rope")))
    for leaf in FAMILIES["activation"].kinds.values():
        cases.append(case_of(tiny(leaf), "feedforward=glu", block={"feedforward": {"kind": "glu", "activation": tiny(leaf).to_dict()}}))
    for leaf in FAMILIES["norm"].kinds.values():
        cases.append(case_of(tiny(leaf), "placement=sandwich", block={"placement": "sandwich"}))
    return cases


PLAIN = plain_cases()
VARIATIONS = [variation for case in PLAIN for variation in variations(case)]
COMBINED = combined_cases()
CASES = [*PLAIN, *COMBINED, *(v.changed for v in VARIATIONS if v.changed is not None and v.bites != "training")]
