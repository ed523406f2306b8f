"""Which text each arm was measured on. Figures of different texts are different groups: nothing of one stands beside the other."""

from collections.abc import Sequence
from typing import NamedTuple

from assay.core.trees import digest
from assay.studies.analysis.results import ArmOutcome, MeasuredText, RunOutcome

SHOWN_DIGITS = 8  # of a sha256, where two texts have one name


class TextKey(NamedTuple):
    """What makes two texts one: the validation text's bytes, and how the documents were divided."""

    sha256: str
    split_sha256: str


def group_by_text(arms: Sequence[ArmOutcome]) -> dict[MeasuredText, tuple[ArmOutcome, ...]]:
    """Group arms by the text they were measured on, in their order.

    An arm of which nothing was measured yet belongs to those that ask for the same corpus and split.
    """
    asked = {arm.name: _describe_asked(arm) for arm in arms}
    measured = {asked[arm.name]: key for arm in reversed(arms) if (key := _find_key(arm)) is not None}
    groups: dict[TextKey, list[ArmOutcome]] = {}
    for arm in arms:
        key = _find_key(arm) or measured.get(asked[arm.name]) or TextKey("", asked[arm.name])
        groups.setdefault(key, []).append(arm)
    names = [_name_text(members) for members in groups.values()]
    texts = [
        MeasuredText(name if names.count(name) == 1 else f"{name} {(key.sha256 or key.split_sha256)[:SHOWN_DIGITS]}", key.sha256 or None)
        for name, key in zip(names, groups, strict=True)
    ]
    if len(set(texts)) < len(texts):  # one text, divided in two ways
        texts = [
            text._replace(name=f"{text.name} split {key.split_sha256[:SHOWN_DIGITS]}") for text, key in zip(texts, groups, strict=True)
        ]
    return dict(zip(texts, map(tuple, groups.values()), strict=True))


def _describe_asked(arm: ArmOutcome) -> str:
    """Describe the corpus and split that an arm's config asks for."""
    config = arm.planned_arm.config
    return digest([config.corpus.to_dict(), config.split.to_dict()])


def _find_key(arm: ArmOutcome) -> TextKey | None:
    """Find the text of an arm's runs, from a score or, before there is one, from how the data was prepared."""
    return next(filter(None, map(_read_key, (*arm.runs, *arm.all_runs))), None)


def _read_key(run: RunOutcome) -> TextKey | None:
    if run.validation is not None:
        return TextKey(run.validation.protocol["text_sha256"], run.validation.protocol["split_sha256"])
    data = run.provenance.get("data", {})
    sha256, split = data.get("parts", {}).get("validation", {}).get("sha256"), data.get("split_sha256")
    return None if sha256 is None or split is None else TextKey(sha256, split)


def _name_text(arms: Sequence[ArmOutcome]) -> str:
    """Name a text as its corpus is named, or, before anything was prepared, after the kind of its corpus."""
    names = (run.provenance.get("data", {}).get("corpus", {}).get("name") for arm in arms for run in arm.all_runs)
    return next(filter(None, names), None) or str(arms[0].planned_arm.config.corpus.to_dict()["kind"])
