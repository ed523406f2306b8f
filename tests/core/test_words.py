"""Counts and lists in words."""

from assay.core.words import choose_form, format_bytes, format_count, format_list


def test_one_is_singular() -> None:
    assert (format_count(1, "arm"), format_count(1200, "run")) == ("1 arm", "1,200 runs")


def test_names_beyond_the_limit_are_only_counted() -> None:
    assert format_list([]) == "none"
    assert (format_list(["a"]), format_list(["a", "b", "c"])) == ("a", "a, b and c")
    assert format_list([*"abcde"], 4) == "a, b, c and 2 more"
    assert format_list(["a, b", "c"]) == "a, b and c"
    assert format_list(["a, b", "c", "d"]) == "a, b; c and d"


def test_sizes_are_written_in_the_unit_that_they_are_large_in() -> None:
    assert [format_bytes(count) for count in (5 * 2**20, 1536 * 2**20)] == ["5 MiB", "1.5 GiB"]


def test_one_item_has_the_singular_form() -> None:
    assert [choose_form(items, "is", "are") for items in ([], ["a"], ["a", "b"])] == ["are", "is", "are"]
