"""What each mixer goes with and what it keeps of its past, from one that is built with its defaults."""

from dataclasses import asdict, dataclass
from typing import Any

from assay.core.config import FAMILIES
from assay.nn.mixer.base import Documents, MixerConfig
from assay.nn.position.base import Sizes

WIDTH, DEPTH = 256, 2  # of the model that the traits are of


@dataclass(frozen=True, slots=True)
class Traits:
    """The traits of a mixer."""

    positions: tuple[str, ...]  # the kinds that it accepts
    reach: int | None  # positions back that it sees; None: all
    bounded: bool  # whether its state stops growing
    documents: Documents

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def sentence(self) -> str:
        """For people."""
        sight = "all of the past" if self.reach is None else f"{self.reach:,} positions back"
        state = "does not grow with the text" if self.bounded else "grows with the text"
        documents = "can be isolated inside a row" if self.documents == "masked" else "cannot be isolated inside a row"
        return f"positions: {', '.join(self.positions)}; sees {sight}; its state {state}; documents {documents}"


def mixer_traits() -> dict[str, Traits]:
    """The traits of every mixer that can be built without being told a setting."""
    kinds = FAMILIES["mixer"].kinds.items()
    return {
        name: traits_of(leaf)
        for name, leaf in kinds
        if issubclass(leaf, MixerConfig) and not any(field.is_required() for field in leaf.model_fields.values())
    }


def traits_of(leaf: type[MixerConfig]) -> Traits:
    """The traits of one mixer."""
    config = leaf()
    mixer = config.build(WIDTH)
    sizes = Sizes(WIDTH, DEPTH, (config.size_of_head(WIDTH) or WIDTH,), (config.number_of_heads() or 1,))
    positions = [name for name, kind in FAMILIES["position"].kinds.items() if kind().build(sizes).enters <= mixer.accepts]  # type: ignore[attr-defined]
    return Traits(tuple(positions), mixer.reach, mixer.bounded, mixer.documents)
