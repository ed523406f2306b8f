"""The values that a setting takes are read from its declaration, and written in a few words."""

from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from assay.core.allowed_values import format_allowed_values, read_allowed_values
from assay.core.catalogue import read_registry
from assay.core.config import FAMILIES, Config, setting
from assay.nn.norm import NormConfig


@pytest.mark.parametrize(
    ("annotation", "metadata", "allowed", "words"),
    [
        (bool, [], {"type": "boolean"}, "true, false"),
        (int, [Ge(1)], {"type": "integer", "minimum": 1}, "integer >= 1"),
        (int, [Ge(1), Le(10_000)], {"type": "integer", "minimum": 1, "maximum": 10_000}, "integer 1 to 10,000"),
        (float, [], {"type": "number"}, "number"),
        (float, [Ge(0), Lt(1)], {"type": "number", "minimum": 0, "below": 1}, "number 0 to <1"),
        (float, [Gt(0), Le(0.5)], {"type": "number", "above": 0, "maximum": 0.5}, "number >0 to 0.5"),
        (float | None, [Gt(0)], {"type": "number", "above": 0, "optional": True}, "number > 0; or absent"),
        (Literal["l2", "decoupled"], [], {"type": "choice", "choices": ["l2", "decoupled"]}, "l2, decoupled"),
        (tuple[int, ...], [], {"type": "list", "items": {"type": "integer"}}, "list of integer"),
        (tuple[Annotated[int, Ge(1)], ...], [], {"type": "list", "items": {"type": "integer", "minimum": 1}}, "list of integer >= 1"),
        (tuple[Any, ...], [], {"type": "list", "items": {"type": "any"}}, "list"),
        (dict[str, float], [], {"type": "table", "keys": {"type": "text"}, "items": {"type": "number"}}, "table of number"),
        (str, [], {"type": "text"}, "text"),
        (NormConfig, [], {"type": "kind", "family": "norm"}, "kind of norm"),
    ],
)
def test_values_are_read_and_written(annotation: Any, metadata: list[Any], allowed: dict[str, Any], words: str) -> None:
    assert read_allowed_values(annotation, metadata) == allowed
    assert format_allowed_values(allowed) == words


def test_a_bound_inside_of_an_optional_or_of_a_list_is_kept() -> None:
    class Some(Config):
        """A config."""

        one: int | None = setting(None, "a number", ge=1, le=9)
        many: tuple[Annotated[int, FieldInfo(annotation=int, ge=2)], ...] = setting((), "numbers")

    fields = Some.model_fields
    assert read_allowed_values(fields["one"].annotation, fields["one"].metadata) == {
        "type": "integer", "minimum": 1, "maximum": 9, "optional": True
    }  # fmt: skip
    assert read_allowed_values(fields["many"].annotation, fields["many"].metadata)["items"] == {"type": "integer", "minimum": 2}


def test_every_setting_of_every_kind_says_what_it_takes() -> None:
    for family, kinds in read_registry().families.items():
        for kind, info in kinds.items():
            for one in info.settings:
                assert format_allowed_values(one.allowed), f"{family} {kind} {one.name}"


def test_a_bound_that_is_told_is_the_bound_that_holds() -> None:
    """What lies just outside of the bounds is refused, and the bound itself taken, of every number of every kind that needs no settings."""
    checked = 0
    for kinds in (family.kinds for family in FAMILIES.values()):
        for name, leaf in kinds.items():
            if any(field.is_required() for field in leaf.model_fields.values()):
                continue
            for key, field in leaf.model_fields.items():
                allowed = read_allowed_values(field.annotation, field.metadata)
                if allowed["type"] in ("integer", "number") and "minimum" in allowed:
                    with pytest.raises(Exception, match=key):
                        leaf.make({"kind": name, key: allowed["minimum"] - 1})
                    checked += 1
    assert checked > 50
