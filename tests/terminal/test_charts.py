"""Curves in plain characters."""

import io

from rich.console import Console

from assay.terminal.charts import ASCII_BLOCKS, BLOCKS, curve_width, fill_curve, print_curve


def test_a_curve_fills_the_area_below_it() -> None:
    assert fill_curve([0, 0.25, 0.5, 1], 2, BLOCKS) == ["   █", " ▄██"]
    assert fill_curve([0, 1 / 16, 2, -1], 1, BLOCKS) == ["  █ "]
    assert fill_curve([0, 0.5, 1], 2, ASCII_BLOCKS) == ["  #", " ##"]


def printed(width: int, encoding: str) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    out = Console(file=stream, width=width)
    print_curve(out, [index / 9 for index in range(10)], ("1.5", "0"), ("a", "b"))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]


def test_the_axis_is_labelled_at_its_ends() -> None:
    lines = printed(40, "utf-8")
    assert lines[0].startswith("1.5 |   ")
    assert lines[0].endswith("\N{FULL BLOCK}")
    assert lines[-2].startswith("  0 | ")
    assert lines[-1] == "     a        b"
    assert not any(line.endswith(" ") for line in lines)


def test_where_blocks_cannot_be_written_there_are_plain_characters() -> None:
    assert printed(40, "ascii")[0] == "1.5 |         #"


def test_a_curve_is_as_wide_as_there_is_room() -> None:
    for width, room in ((40, 35), (100, 95), (1000, 95), (3, 8)):
        assert curve_width(Console(width=width), ("1.5", "0")) == room
