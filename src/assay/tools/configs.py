"""List what can stand in a config, and compare two configs. Imports torch only for the traits of mixers and for a comparison."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.core.catalogue import Catalogue, KindInfo, describe_recipes, load_catalogue
from assay.core.renames import SINCE, new_name, suggest_today
from assay.errors import UserError

if TYPE_CHECKING:
    from assay.nn.mixer.base import MixerConfig

ALL = "all"  # in the place of a family
WIDTH, DEPTH = 256, 2  # of the model for which traits are found


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """Every key of the config and every count in which two things differ."""

    left: str
    right: str
    values: dict[str, tuple[Any, Any]]  # of the left and of the right one; None where it is absent

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {key: {"left": left, "right": right} for key, (left, right) in self.values.items()}


@dataclass(frozen=True, slots=True)
class MixerTraits:
    """The traits of a mixer."""

    positions: tuple[str, ...]  # the kinds that it accepts
    reach: int | None  # positions back that it sees; None: all
    bounded: bool  # whether its state stops growing
    documents: Literal["masked", "whole_rows"]

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values."""
        return asdict(self)

    def describe(self) -> str:
        """Describe them in one line."""
        sight = "all of the past" if self.reach is None else f"{self.reach:,} positions back"
        state = "does not grow with the text" if self.bounded else "grows with the text"
        documents = "can be isolated inside a row" if self.documents == "masked" else "cannot be isolated inside a row"
        return f"positions: {', '.join(self.positions)}; sees {sight}; its state {state}; documents {documents}"


@dataclass(frozen=True, slots=True)
class KindList:
    """The kinds of every family, presets and recipes, and the family that is asked for; None: the names alone; ALL: every family."""

    family: str | None
    catalogue: Catalogue
    recipes: Mapping[str, str]  # with the description of each
    traits: Mapping[str, MixerTraits] = field(default_factory=dict)  # of mixers

    @property
    def chosen(self) -> dict[str, Mapping[str, KindInfo]]:
        """The kinds of the family that is asked for, or of all, by family."""
        return {name: kinds for name, kinds in self.catalogue.families.items() if self.family in (name, ALL)}

    @property
    def families(self) -> dict[str, list[str]]:
        """The names of the kinds of every family."""
        return {name: list(kinds) for name, kinds in self.catalogue.families.items()}

    @property
    def names(self) -> dict[str, list[str]]:
        """The same, and those of presets and recipes."""
        return {**self.families, "preset": list(self.catalogue.presets), "recipe": list(self.recipes)}

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values: names and, of one family or of all, the settings of each kind with the values they take."""
        names = {self.family: self.names[self.family]} if self.family in self.names else self.families
        settings = {family: {kind: _list_settings(info) for kind, info in kinds.items()} for family, kinds in self.chosen.items()}
        traits = {"traits": {name: each.to_dict() for name, each in self.traits.items()}} if self.traits else {}
        return {**names, **({"settings": settings} if settings else {}), **traits}


def _list_settings(kind: KindInfo) -> dict[str, Any]:
    """List the settings of a kind by name, each with default, description and the values it takes."""
    return {one.name: {"default": one.default, "description": one.description, "allowed": dict(one.allowed)} for one in kind.settings}


def diff_configs(left: str, right: str, runs_dir: Path | None = None) -> ConfigDiff:
    """Find the keys, parameter counts and FLOPs in which two recipes, presets or runs differ. Raises ConfigError for an unknown one."""
    from assay.experiment.summary import compare_summaries, summarize  # noqa: PLC0415

    return ConfigDiff(left, right, compare_summaries(summarize(left, [], runs_dir), summarize(right, [], runs_dir)))


def list_kinds(family: str | None = None, *, traits: bool = False) -> KindList:
    """List the kinds of every family, or look one family up. `traits` are of mixers alone. Raises UserError for an unknown family."""
    if traits and family != "mixer":
        raise UserError("--traits: is for `assay kinds mixer`; leave it out")
    kinds = KindList(family, load_catalogue(), describe_recipes(), list_mixer_traits() if traits else {})
    if family is not None and family not in (ALL, *kinds.names):
        raise UserError(f"no family '{family}'; {_suggest_family(family, kinds.names)}")
    return kinds


def _suggest_family(word: str, names: Mapping[str, list[str]]) -> str:
    """Say which family has a kind of this name, today's of an old one; else which family is called like it."""
    today = new_name(word) or word
    families = [name for name, kinds in names.items() if today in kinds]
    if not families or today in names:
        return suggest_today(word, names)
    since = "" if today == word else f", called '{today}' since {SINCE}"
    return f"'{word}' is a kind of {' and of '.join(families)}{since}: `assay kinds {families[0]}`"


def list_mixer_traits() -> dict[str, MixerTraits]:
    """Find the traits of every mixer that can be built without settings."""
    from assay.core.config import FAMILIES  # noqa: PLC0415
    from assay.nn.mixer.base import MixerConfig  # noqa: PLC0415

    return {
        name: find_traits(kind)
        for name, kind in FAMILIES["mixer"].kinds.items()
        if issubclass(kind, MixerConfig) and not any(setting.is_required() for setting in kind.model_fields.values())
    }


def find_traits(kind: "type[MixerConfig]") -> MixerTraits:
    """Find the traits of a mixer, from one that is built with its defaults."""
    from assay.core.config import FAMILIES  # noqa: PLC0415
    from assay.nn.position.base import ModelSizes  # noqa: PLC0415

    config = kind()
    mixer = config.build(WIDTH)
    sizes = ModelSizes(WIDTH, DEPTH, (config.size_of_head(WIDTH) or WIDTH,), (config.number_of_heads() or 1,))
    positions = [name for name, one in FAMILIES["position"].kinds.items() if one().build(sizes).methods <= mixer.position_methods]  # type: ignore[attr-defined]
    return MixerTraits(tuple(positions), mixer.reach, mixer.bounded_state, "masked" if mixer.masks_documents else "whole_rows")
