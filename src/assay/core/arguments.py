"""Check the types of arguments that come from people's code: a wrong one is a sentence with its name, not an error from deep inside."""

import os
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin

from assay.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")
KINDS: dict[type, tuple[type, ...]] = {int: (Integral,), float: (Real,), str: (str,), bool: (bool,), bytes: (bytes,), Path: (os.PathLike,)}
WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", bytes: "bytes", Path: "a path", NoneType: "None"}


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function raise UserError for an argument of another type than its annotation; those of other than plain types pass."""
    known = signature(function)
    plain = {name: kinds for name, parameter in known.parameters.items() if (kinds := _plain_types(parameter))}

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in known.bind(*args, **kwargs).arguments.items():
            if name in plain and not _fits(value, plain[name]):
                raise UserError(f"{name}: {value!r} is not {' or '.join(WORDS[kind] for kind in plain[name])}")
            if Path in plain.get(name, ()) and value is not None and not _can_be_path(value):
                raise UserError(f"{name}: {value!a} cannot be the name of a file or a folder")
        return function(*args, **kwargs)

    return checked


def _plain_types(parameter: Parameter) -> tuple[type, ...]:
    """List the types that an argument may have; none where one of them is not plain, so that it is left alone."""
    annotation = parameter.annotation
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    several = parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return () if several or not all(kind in WORDS for kind in kinds) else kinds


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value has one of these types; True and False are no numbers."""
    if value is None or isinstance(value, bool):
        return type(value) in kinds
    return any(isinstance(value, KINDS.get(kind, ())) for kind in kinds)


def _can_be_path(value: str | os.PathLike[str]) -> bool:
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False
