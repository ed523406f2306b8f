import errno
import os
import pickle

import pytest

from assay.errors import (
    VARIABLES,
    AssayError,
    ConfigError,
    DataError,
    Interrupted,
    NonFiniteLoss,
    RunError,
    UserError,
    explain_os_error,
    suggest,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [(UserError, 2), (DataError, 2), (RunError, 2), (NonFiniteLoss, 1), (Interrupted, 130), (AssayError, 1)],
)
def test_an_error_has_the_exit_code_of_its_cause(error: type[AssayError], code: int) -> None:
    assert error.exit_code == code
    assert ConfigError("a", "b").exit_code == 2


def test_the_nearest_word_is_named_or_else_all_of_them() -> None:
    assert suggest("heds", ["heads", "bias"]) == "did you mean 'heads'?"
    assert suggest("zzz", ["heads", "bias"]) == "known are: bias, heads"
    assert suggest("x", []) == "there are none"


def test_an_error_survives_the_way_out_of_another_process() -> None:
    error = ConfigError("model.width", "is too small").with_prefix("base")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.reason) == (str(error), "base.model.width", "is too small")


def test_what_is_known_twice_is_named_once() -> None:
    assert suggest("zzz", ["bible", "text", "bible"]) == "known are: bible, text"


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_whatever_the_system_refuses_is_told_with_a_remedy(number: int) -> None:
    place, _, rest = explain_os_error(OSError(number, os.strerror(number), "/x")).partition(": ")
    cause, _, remedy = rest.partition("; ")
    assert (place, cause) == ("/x", os.strerror(number).lower())
    assert len(remedy) > 10
    assert "{" not in remedy


def test_an_error_without_a_number_is_told_in_its_own_words() -> None:
    assert explain_os_error(OSError("no\nroute")) == "no route; try again, or name another place"


@pytest.mark.parametrize(
    ("arguments", "variables", "path", "said"),
    [
        (["train", "bible", "--runs-dir", "/a"], {}, "/a/run/x", "name another place with --runs-dir"),
        (["train", "bible", "--runs-dir=/a/b"], {"ASSAY_RUNS": "/a"}, "/a/b/x", "name another place with --runs-dir"),
        (["runs"], {"ASSAY_RUNS": "/a"}, "/a/x", "name another place with ASSAY_RUNS"),
        (["runs"], {"ASSAY_CACHE": "/a/b"}, "/a", "name another place with ASSAY_CACHE"),  # a folder above it
        (["report", "-o", "/a/page.html"], {}, "/a/page.html", "name another place with -o"),
        (["train", "x", "corpus.path=/a/t.txt"], {}, "/a/t.txt", "name another place with corpus.path"),
        (["runs"], {}, "runs/x", "name another place with --runs-dir or ASSAY_RUNS"),
        (["runs"], {}, "/elsewhere", "name another place"),
    ],
)
def test_the_option_or_variable_that_led_there_is_named(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], variables: dict[str, str], path: str, said: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["assay", *arguments])
    assert explain_os_error(OSError(errno.EROFS, "Read-only file system", path)) == f"{path}: read-only file system; {said}"


def test_a_full_disk_is_left_by_making_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["assay", "train", "bible", "--runs-dir", "/a"])
    monkeypatch.setenv("ASSAY_CACHE", "/c")
    said = [explain_os_error(OSError(number, "full", path)) for number in (errno.ENOSPC, errno.EDQUOT) for path in ("/a/x", "/c/x")]
    assert said == 2 * [
        "/a/x: full; make room, then go on with `assay resume`, or train again where nothing was saved",
        "/c/x: full; make room, or name another place with ASSAY_CACHE",
    ]
