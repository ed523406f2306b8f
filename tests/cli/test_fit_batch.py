"""`assay fit-batch`: the table, what follows from it, and the mistakes."""

from collections.abc import Callable

import pytest

from assay.tools import fit_batch
from assay.tools.fit_batch import BatchTrial
from cli.test_errors import refused
from support.lab import Lab
from support.trained import call

MIB = 2**20


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A machine that holds so many rows and is fastest with four."""

    def holds(capacity: int) -> None:
        def attempt(config: object, data_dir: object, limit: object, rows: int) -> BatchTrial:
            if rows > capacity:
                return BatchTrial(rows, False, None, None, "took more than the limit, and was stopped")
            return BatchTrial(rows, True, rows * 100 * MIB, 1000.0 - abs(rows - 4))

        monkeypatch.setattr(fit_batch, "try_rows", attempt)

    return holds


@pytest.mark.slow
def test_one_real_trial_for_scripts(lab: Lab) -> None:
    tree = call("fit-batch", lab.recipe, "--max-rows", 1, "--json").json
    assert [trial["rows"] for trial in tree["trials"]] == [1]
    assert all(trial["fits"] and trial["tokens_per_second"] > 0 for trial in tree["trials"])
    assert (tree["rows"], tree["accumulation"], tree["batch_size"]) == (1, 8, 8)


def test_people_get_a_table_and_the_accumulation_that_keeps_the_batch(lab: Lab, machine: Callable[[int], None]) -> None:
    machine(5)
    answer = call("fit-batch", lab.recipe, "--memory", "1GB")
    assert answer.code == 0, answer.err
    for words in (
        "limit 954 MiB; rows of 16 tokens",
        "500 MiB",
        "took more than the limit",
        "The largest micro-batch that fits has 5 rows.",
        "With it batches.size=8 keeps its updates: train.accumulation=2",
        "Fastest of those tried: 4 rows, 1,000 tokens/s",
    ):
        assert words in answer.out


def test_where_all_rows_fit_it_says_where_it_stopped(lab: Lab, machine: Callable[[int], None]) -> None:
    machine(10**9)
    printed = call("fit-batch", lab.recipe).out
    assert "All 128 rows fit; more than 128 were not tried (--max-rows)." in printed
    assert "batches.size=8 needs no accumulation: train.accumulation=1" in printed


def test_where_nothing_fits_the_exit_code_says_so(lab: Lab, machine: Callable[[int], None]) -> None:
    machine(0)
    answer = call("fit-batch", lab.recipe)
    assert answer.code == 1
    assert "not even one row fits" in answer.err
    assert call("fit-batch", lab.recipe, "--json").code == 1


def test_ctrl_c_shows_what_was_tried(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(config: object, data_dir: object, limit: object, rows: int) -> BatchTrial:
        if rows == 2:
            raise KeyboardInterrupt
        return BatchTrial(rows, True, 77 * MIB, 1.0)

    monkeypatch.setattr(fit_batch, "try_rows", attempt)
    answer = call("fit-batch", lab.recipe)
    assert answer.code == 130
    assert "77 MiB" in answer.out
    assert "largest" not in answer.out


@pytest.mark.parametrize("width", [40, 200])
def test_a_terminal_of_any_width_cuts_nothing_off(
    lab: Lab, machine: Callable[[int], None], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(5)
    monkeypatch.setenv("COLUMNS", str(width))
    printed = call("fit-batch", lab.recipe).out
    assert "took more than the limit, and was stopped" in " ".join(printed.split())
    assert "…" not in printed


def test_mistakes_are_one_sentence(lab: Lab) -> None:
    refused(call("fit-batch", "bibel"), "unknown recipe 'bibel'", "did you mean 'bible'?")
    refused(call("fit-batch", lab.recipe, "--memory", "much"), "--memory", "'much'", "8GB")
    refused(call("fit-batch", lab.recipe, "--max-rows", 0), "'--max-rows'", "fit-batch --help")
    refused(call("fit-batch", lab.recipe, "model.widht=8"), "model.widht", "did you mean 'width'?")
    refused(call("fit-batch", "shakespeare"), "input.txt", "--data-dir")
