"""Read the JSON files of runs and studies: what is no file, no JSON, or of a wrong type, is found here and told by its place.

A shape says what is read of a file, and no more: what a later or an earlier version keeps beside it passes.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.core.files import name_file
from assay.errors import RunError, explain_os_error

WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    type(None): "null",
}
LARGEST = 2**63  # whole numbers are below it


@dataclass(frozen=True, slots=True)
class Shape:
    """The types that a value may have; of an object, those of its keys, which of them it must have, and that of all its values."""

    types: tuple[type, ...]
    keys: Mapping[str, "Shape"] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    each: "Shape | None" = None  # value of an object, or item of a list

    def or_null(self) -> "Shape":
        """Allow null as well."""
        return Shape((*self.types, type(None)), self.keys, self.required, self.each)

    def find_fault(self, value: Any, place: str = "") -> str | None:
        """Find what does not fit, as the end of a sentence; None where all fits."""
        kinds = (*self.types, int) if float in self.types else self.types
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return f"{place or 'it'} is {WORDS[type(value)]}, not {' or '.join(WORDS[kind] for kind in self.types)}"
        if isinstance(value, int) and abs(value) >= LARGEST:
            return f"{place or 'it'} is too large"
        items: Iterator[tuple[Any, Any]] = iter(())
        if isinstance(value, dict):
            missing = next((key for key in self.required if key not in value), None)
            if missing is not None:
                return f"{_join(place, missing)} is missing"
            items = iter(value.items())
        elif isinstance(value, list):
            items = iter(enumerate(value))
        for key, item in items:
            shape = self.keys.get(key, self.each) if isinstance(value, dict) else self.each
            fault = None if shape is None else shape.find_fault(item, _join(place, key))
            if fault is not None:
                return fault
        return None


def _join(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def record(required: str = "", **keys: Shape) -> Shape:
    """Make the shape of an object with these keys; `required` are the names of those that it must have."""
    return Shape((dict,), keys, tuple(required.split()))


def mapping_of(shape: Shape) -> Shape:
    """Make the shape of an object whose values are alike."""
    return Shape((dict,), each=shape)


def list_of(shape: Shape) -> Shape:
    """Make the shape of a list whose items are alike."""
    return Shape((list,), each=shape)


TEXT, WHOLE, NUMBER, OBJECT = Shape((str,)), Shape((int,)), Shape((float,)), Shape((dict,))
UNITS = record("count", count=WHOLE, unit=TEXT)
FIGURES = record(
    "bits_per_byte standard_error", bits_per_byte=NUMBER, standard_error=NUMBER.or_null(), standard_error_over=UNITS,
    nats_per_token=NUMBER,
)  # fmt: skip
CHECKPOINT = Shape((dict, str, type(None)), {"kind": TEXT, "step": WHOLE}, ("kind", "step"))  # a text before 0.6

STATUS_SHAPE = record(
    state=TEXT, step=WHOLE, steps=WHOLE.or_null(), failure=TEXT.or_null(), error=TEXT.or_null(), pid=WHOLE.or_null(), host=TEXT.or_null(),
    best=record("step bits_per_byte", step=WHOLE, bits_per_byte=NUMBER).or_null(), scores=mapping_of(FIGURES).or_null(),
    seconds=mapping_of(NUMBER).or_null(), peak_bytes=WHOLE.or_null(), bits_per_byte=NUMBER.or_null(),
    time_left_error=NUMBER.or_null(), budget_minutes=NUMBER.or_null(), budget_steps=WHOLE.or_null(),
)  # fmt: skip
PART_SHAPE = record(documents=WHOLE, bytes=WHOLE, tokens=WHOLE, sha256=TEXT)
PROVENANCE_SHAPE = record(
    started_at=TEXT, assay=TEXT, code=TEXT, python=TEXT, platform=TEXT, config=TEXT, threads=WHOLE, cpus=WHOLE, gpus=list_of(TEXT),
    packages=mapping_of(TEXT.or_null()),
    data=record(
        corpus=record(name=TEXT, licence=TEXT, source=TEXT, notes=list_of(TEXT)), fingerprint=TEXT, parts=mapping_of(PART_SHAPE),
        leakage=OBJECT.or_null(), tokenizer=TEXT,
    ),
)  # fmt: skip
SCORE_SHAPE = record(
    "bits_per_byte bytes_scored bytes_in_split tokens_scored protocol",
    bits_per_byte=NUMBER, standard_error=NUMBER.or_null(), standard_error_over=UNITS, bytes_scored=WHOLE, bytes_in_split=WHOLE,
    tokens_scored=WHOLE, standard_errors=mapping_of(NUMBER.or_null()), units=record("kind", kind=TEXT).or_null(),
    by_position=list_of(OBJECT), by_class=list_of(OBJECT), by_group=list_of(OBJECT), reliability=list_of(OBJECT),
    protocol=record(
        "split policy context", split=TEXT, policy=TEXT, context=WHOLE, stride=WHOLE.or_null(), text_sha256=TEXT, tokenizer=TEXT,
        checkpoint=CHECKPOINT,
    ),
)  # fmt: skip
VALIDATION = Shape((dict,), {**FIGURES.keys, "bits_per_byte": NUMBER.or_null(), "nats_per_token": NUMBER.or_null()}, FIGURES.required)
METRICS_SHAPE = record(  # a figure that is not finite is null
    "step", step=WHOLE, loss=NUMBER.or_null(), targets=NUMBER, validation=VALIDATION, full_validation=VALIDATION,
    training_score=VALIDATION, gradient_norms=mapping_of(NUMBER.or_null()),
)  # fmt: skip
TIMINGS_SHAPE = record(
    "step", step=WHOLE, tokens_per_second=NUMBER.or_null(), run_left=NUMBER.or_null(), spent=mapping_of(NUMBER), elapsed=NUMBER
)
TEST_USE_SHAPE = record(time=TEXT, checkpoint=CHECKPOINT, bits_per_byte=NUMBER, standard_error=NUMBER.or_null(), protocol=OBJECT)
JOB_SHAPE = record("run arm seed lr_factor", run=TEXT, arm=TEXT, seed=WHOLE, lr_factor=NUMBER, tuning=Shape((bool,)))
PLAN_SHAPE = record(
    "arms jobs seeds lr_factors", name=TEXT, scale=TEXT.or_null(), question=TEXT, code=TEXT,
    arms=list_of(record("name", name=TEXT, axis=TEXT.or_null(), config=OBJECT)), jobs=list_of(JOB_SHAPE), seeds=list_of(WHOLE),
    lr_factors=list_of(NUMBER), chosen=mapping_of(NUMBER), refused=list_of(record("name reason", name=TEXT, reason=TEXT)),
)  # fmt: skip


def read_file(path: Path) -> bytes:
    """Read a file. Raises OSError, which names it; one that is no file, such as a pipe, is not waited for but is a RunError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RunError(f"{short_path(path)}: is not a file; remove it")
    with name_file(path), os.fdopen(handle, "rb") as file:
        return file.read()


def read_lines(path: Path, shape: Shape, remedy: str) -> Iterator[dict[str, Any]]:
    """Read the JSON object in each line of a file, of which there may be none; a last line that was cut off is left out.

    Raises RunError, with the line's number and the remedy, for a damaged one.
    """
    try:
        lines = read_file(path).split(b"\n")[:-1]
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, start=1):
        try:
            yield parse_object(line, shape)
        except ValueError as fault:
            raise RunError(f"{short_path(path)}, line {number}: is damaged ({fault}); {remedy}") from None


def read_object(path: Path, shape: Shape, remedy: str) -> dict[str, Any]:
    """Read the JSON object in a file. Raises FileNotFoundError, and RunError, which ends in the remedy where the file is damaged.

    One that cannot be read may be whole, so the remedy, which may be to delete it, is not given.
    """
    try:
        return parse_object(read_file(path), shape)
    except (FileNotFoundError, RunError):
        raise
    except OSError as refused:
        raise RunError(explain_os_error(refused)) from None
    except ValueError as fault:
        raise RunError(f"{short_path(path)}: is damaged ({fault}); {remedy}") from None


def parse_object(text: bytes, shape: Shape) -> dict[str, Any]:
    """Parse a JSON object of this shape. Raises ValueError, which says what is wrong."""
    try:
        value = json.loads(text.decode("utf-8"))
    except json.JSONDecodeError:
        raise ValueError("it is no JSON") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    fault = shape.find_fault(value)
    if not isinstance(value, dict) or fault is not None:
        raise ValueError(fault or "it is no object")
    return value


def short_path(path: Path) -> Path:
    """Shorten a path inside the working directory to a relative one."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
