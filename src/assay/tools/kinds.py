"""What can stand in a config: the kinds of every family, presets and recipes. Imports no torch, unless traits are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.core.catalogue import Catalogue, catalogue, recipes
from assay.errors import UserError, nearest

if TYPE_CHECKING:
    from assay.tools.mixer_traits import Traits


@dataclass(frozen=True, slots=True)
class KindList:
    """What there is, and the family that is asked for; None: all of them."""

    family: str | None
    catalogue: Catalogue
    recipes: Mapping[str, str]  # what each says of itself
    traits: "Mapping[str, Traits]" = field(default_factory=dict)  # of mixers

    @property
    def families(self) -> dict[str, list[str]]:
        """The names of the kinds of every family."""
        return {name: list(kinds) for name, kinds in self.catalogue.families.items()}

    @property
    def names(self) -> dict[str, list[str]]:
        """The same, and those of presets and recipes."""
        return {**self.families, "preset": list(self.catalogue.presets), "recipe": list(self.recipes)}

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        names = self.families if self.family is None else {self.family: self.names[self.family]}
        traits = {"traits": {name: each.tree() for name, each in self.traits.items()}} if self.traits else {}
        return {**names, **traits}


def list_kinds(family: str | None = None, *, traits: bool = False) -> KindList:
    """List the kinds of every family, or look one family up. `traits` are of mixers alone. Raises UserError for an unknown family."""
    if traits and family != "mixer":
        raise UserError("--traits: is for `assay kinds mixer`; leave it out")
    found = KindList(family, catalogue(), recipes())
    if family is not None and family not in found.names:
        raise UserError(f"no family '{family}'; {nearest(family, found.names)}")
    if not traits:
        return found
    from assay.tools.mixer_traits import mixer_traits  # noqa: PLC0415 (it builds mixers, which takes torch)

    return KindList(family, found.catalogue, found.recipes, mixer_traits())
