"""Look up keys in the classes of configs: which dotted keys there can be at all, with any choice of kinds, and what they take."""

from typing import Any

from pydantic import create_model
from pydantic.fields import FieldInfo

from assay.core.config import Config, config_class, is_family
from assay.core.words import format_list
from assay.errors import ConfigError


def has_key(config: type[Config], key: str) -> bool:
    """Whether a config, or one of the kinds of its family, has such a key; what is in a list or a table is not looked into."""
    head, _, rest = key.partition(".")
    fields = _list_fields(config, head)
    if not rest or not fields:
        return bool(fields)
    inner = [config_class(field.annotation) for field in fields]
    return any(part is None or has_key(part, rest) for part in inner)


def find_refusal(config: type[Config], key: str, value: Any) -> str | None:
    """Find why a value is refused by each kind that has such a key, whatever the other keys are; None where one of them takes it."""
    head, _, rest = key.partition(".")
    fields, refusal = _list_fields(config, head), f"only {format_list([*config.model_fields])} are read"
    for field in fields:
        inner = config_class(field.annotation)
        found = _find_refusal_of_field(field, value) if not rest else None if inner is None else find_refusal(inner, rest, value)
        if found is None:
            return None
        refusal = found
    return refusal


def _find_refusal_of_field(field: FieldInfo, value: Any) -> str | None:
    inner = config_class(field.annotation)
    if isinstance(value, str) and inner is not None and inner.family is not None and is_family(inner):
        family = inner.family
        return None if value in family.kinds or value in family.presets else f"list its kinds with `assay kinds {family.name}`"
    annotation: Any = field.annotation
    try:
        create_model("Part", __base__=Config, value=(annotation, field)).make({"value": value})
    except ConfigError as refused:
        return refused.reason
    return None


def _list_fields(config: type[Config], name: str) -> list[FieldInfo]:
    """List the fields of this name in a config and in the kinds of its family."""
    kinds = [] if config.family is None or not is_family(config) else [*config.family.kinds.values()]
    return [candidate.model_fields[name] for candidate in (config, *kinds) if name in candidate.model_fields]
