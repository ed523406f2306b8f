"""Names say what differs, as briefly as it can be told apart, and are fit for directories."""

import re

import pytest

from assay.variation.names import format_value, run_name, shorten_keys, slug


def test_keys_lose_what_holds_them_unless_two_would_be_one() -> None:
    keys = [
        "model.block.mixer",
        "model.block.mixer.heads",
        "model.head.bias",
        "model.norm",
        "model.block.norm",
        "objective",
        "batches.size",
    ]
    assert list(shorten_keys(keys).values()) == [
        "mixer",
        "mixer.heads",
        "head.bias",
        "model.norm",
        "block.norm",
        "objective",
        "batches.size",
    ]
    assert shorten_keys(["optimizer.lr", "optimizer.rest.lr"]) == {"optimizer.lr": "optimizer.lr", "optimizer.rest.lr": "rest.lr"}
    assert shorten_keys(["model.block.mixer.kind"]) == {"model.block.mixer.kind": "mixer"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"kind": "local", "window": 64}, "local window=64"),
        ({"window": 64, "size": 2}, "window=64 size=2"),
        (["local", {"mixer": "full"}], "[local, mixer=full]"),
        (0.003, "0.003"),
        (True, "true"),
        ("3epochs", "3epochs"),
    ],
)
def test_values_are_said_in_words(value: object, said: str) -> None:
    assert format_value(value) == said


def test_any_name_becomes_part_of_a_directory() -> None:
    assert slug("mixer=local window=64") == "mixer-local-window-64"
    assert slug("…") == "arm"
    long = slug("..weights / ü & " + "x" * 200)
    assert len(long) <= 60
    assert re.fullmatch(r"[A-Za-z0-9][\w.-]*", long)


def test_the_name_of_a_run_holds_digest_seed_and_a_factor_that_is_not_one() -> None:
    assert run_name("base", 1.0, "0123456789", 2) == "base-01234567-s2"
    assert run_name("depth=6", 0.5, "0123456789", 0) == "depth-6-lr0.5-01234567-s0"
