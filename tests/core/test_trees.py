"""Config trees: leaves, changes and digests of plain data."""

import hashlib

from assay.core.trees import digest, find_changes, flatten, replace_leaves


def test_the_digest_of_plain_data_is_the_same_in_every_version() -> None:
    canonical = b'{"a":"x","b":[1,2.5]}'
    assert digest({"b": [1, 2.5], "a": "x"}) == hashlib.sha256(canonical).hexdigest()


def test_leaves_have_dotted_paths() -> None:
    tree = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": 2}, {"f": 3}], "g": {}}
    assert dict(flatten(tree)) == {"a.b": 1, "a.c": [1, 2], "d.0.e": 2, "d.1.f": 3, "g": {}}


def test_changes_are_named_with_both_values() -> None:
    changes = find_changes({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "c": 3}, "e": 0})
    assert changes == {"a.c": (2, 3), "d": ([1], None), "e": (None, 0)}


def test_leaves_are_replaced_in_a_copy_and_none_takes_them_away() -> None:
    tree = {"a": {"b": 1, "c": 2}, "d": [{"e": 3}], "g": 4}
    assert replace_leaves(tree, {"a.b": 5, "a.c": None, "d.0.e": 6, "h.i": 7}) == {"a": {"b": 5}, "d": [{"e": 6}], "g": 4, "h": {"i": 7}}
    assert tree == {"a": {"b": 1, "c": 2}, "d": [{"e": 3}], "g": 4}
