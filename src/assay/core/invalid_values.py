"""Say what to write in the place of a value that pydantic refuses, by the type of its error."""

from collections.abc import Mapping
from typing import Any

BOUNDS = {
    "greater_than_equal": "give {ge} or more",
    "greater_than": "give more than {gt}",
    "less_than_equal": "give {le} or less",
    "less_than": "give less than {lt}",
    "too_short": "give at least {min_length}",
    "string_too_short": "give at least {min_length} character",
}
FORMS = {
    "int": "write a whole number, such as 2",
    "float": "write a number, such as 0.5",
    "bool": "write true or false",
    "string": "write a word",
    "tuple": "write a list, such as [a, b]",
    "dict": "write a table, such as {{key = value}}",
}


def name_remedy(kind: str, context: Mapping[str, Any]) -> str:
    """Name the remedy for an error of this type, `; give 1 or more`; nothing where the message itself lists what may be written."""
    remedy = BOUNDS.get(kind) or FORMS.get(kind.partition("_")[0])
    return f"; {remedy.format(**context)}" if remedy is not None else ""
