"""Say what a split did not give: a part that is empty, or one whose bytes are far from its share. Each split that is advised was tried."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from assay.core.trees import Tree
from assay.core.words import format_count

if TYPE_CHECKING:
    from assay.data.split import PartName, Split, SplitConfig

# A part is far from its share beyond either. A third less or half more text moves a standard error by a fifth; five points of training
# text are what a model may be better or worse by.
FACTOR, POINTS = 1.5, 0.05
REPEATED = 0.01  # of the held-out documents that are also training documents, beyond which no split is advised: `leakage.DOCUMENT_LIMIT`
LITTLE = 0.1  # of the bytes: a text of which so little is different is not mended by removing what is repeated
SHAPES: tuple[Tree, ...] = ({"kind": "shuffle"}, {"kind": "contiguous"}, {"kind": "contiguous", "exact": True}, {"kind": "hash"})
SHARES = (0.1, 0.25)  # of validation, tried where the shares that were asked for cannot be had


def describe_empty_part(config: "SplitConfig", documents: Sequence[bytes], separator: bytes, part: "PartName") -> str:
    """Describe a part without documents, and what to do with this text."""
    counted = format_count(len(documents), "document")
    empty = f"split={config.to_dict()['kind']} puts none of {counted} into the {part} part, whose share is {config.shares[part]:g}"
    return f"split: {empty}; {advise_split(config, documents, separator)}"


def check_shares(config: "SplitConfig", split: "Split", documents: Sequence[bytes]) -> tuple[str, ...]:
    """Describe the parts whose bytes are far from their shares, and what to do with this text; nothing where there are none."""
    sizes = split.byte_counts()
    whole = max(sum(sizes.values()), 1)
    far = [part for part, share in config.shares.items() if not _is_near(sizes[part] / whole, share)]
    if not far:
        return ()
    held = ", ".join(
        f"{100 * sizes[part] / whole:.1f} % of the bytes for {part} instead of {100 * config.shares[part]:g} %" for part in far
    )
    return (f"the split gives {held}; {advise_split(config, documents, split.separator)}",)


def advise_on_repeats(config: "SplitConfig", split: "Split", documents: Sequence[bytes]) -> str:
    """Say what to do with a text whose equal documents are in training and in another part; empty where hardly any are."""
    return advise_split(config, documents, split.separator) if _has_repeats(config, split, documents) else ""


def advise_split(config: "SplitConfig", documents: Sequence[bytes], separator: bytes) -> str:
    """Name a split that gives each part its share of the bytes and keeps equal documents together, or say what the text lacks."""
    found = _find_sound(_candidates(config), documents, separator)
    if found is not None:
        return f"use {_write_overrides(found)}"
    different = list(dict.fromkeys(documents))
    if len(different) == len(documents):
        return "no split gives every part its share, so use a longer text"
    counted = f"{len(different):,} of {len(documents):,} are different"
    found = _find_sound([config, *_candidates(config)], different, separator)
    if found is None or sum(map(len, different)) < LITTLE * sum(map(len, documents)):
        return f"use a text with more different documents ({counted})"
    return f"remove repeated documents ({counted})" + ("" if found is config else f" and use {_write_overrides(found)}")


def find_sound_split(config: "SplitConfig", documents: Sequence[bytes], separator: bytes) -> "SplitConfig":
    """Find the split nearest to this one in which each part has its share; this one where this text has none."""
    return _find_sound([config, *_candidates(config)], documents, separator) or config


def _find_sound(configs: Iterable["SplitConfig"], documents: Sequence[bytes], separator: bytes) -> "SplitConfig | None":
    """Find the first split in which every part has its share of the bytes, and hardly any held-out document is a training document."""
    for config in configs:
        split = config.place(documents, separator)
        sizes = split.byte_counts()
        whole = max(sum(sizes.values()), 1)
        near = all(_is_near(sizes[part] / whole, share) for part, share in config.shares.items())
        if near and not _has_repeats(config, split, documents):
            return config
    return None


def _has_repeats(config: "SplitConfig", split: "Split", documents: Sequence[bytes]) -> bool:
    """Whether more than REPEATED of the held-out documents, or of those that a cut goes through, equal another one in training."""
    held_out = [index for part, share in config.shares.items() if part != "train" and share for index in split.indices[part]]
    training = {documents[index] for index in {*split.indices["train"]} - {*held_out}}
    return sum(documents[index] in training for index in held_out) > REPEATED * len(held_out)


def _candidates(config: "SplitConfig") -> Iterator["SplitConfig"]:
    """Yield splits in the order in which they are advised: with the shares as they are, then with larger ones, then without a test."""
    assert config.family is not None
    shares = [(config.validation, config.test), *((share, share if config.test else 0.0) for share in SHARES)]
    for validation, test in [*shares, *((share, 0.0) for share, test in shares if test)]:
        for shape in SHAPES:
            yield cast("SplitConfig", config.family.make({**shape, "validation": validation, "test": test}))


def _is_near(found: float, share: float) -> bool:
    """Whether a part of the bytes is as large as its share says."""
    return share == 0 or (abs(found - share) <= POINTS and share / FACTOR <= found <= share * FACTOR)


def _write_overrides(config: "SplitConfig") -> str:
    """Write the overrides that make this split of any other."""
    changed = {name: value for name, value in config.to_dict().items() if value != type(config).model_fields[name].default}
    return " ".join([f"split={config.to_dict()['kind']}", *(f"split.{name}={json.dumps(value)}" for name, value in changed.items())])
