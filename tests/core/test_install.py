"""Tests of the lines that install what is missing."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from assay.core import install
from assay.core.install import list_extra, write_assay_line, write_install_line

SOURCE = Path(install.__file__).parents[1]
EXTRAS = tomllib.loads((install.SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


class Installed(NamedTuple):
    """A distribution with this origin."""

    origin: dict[str, object] | None
    requires: tuple[str, ...] = ("numpy>=2", "matplotlib>=3.8; extra == 'plots'", 'rich>=13 ; extra == "other"')

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.origin is None else json.dumps(self.origin)


Install = Callable[[dict[str, object] | None], None]


@pytest.fixture
def install_from(monkeypatch: pytest.MonkeyPatch) -> Install:
    monkeypatch.setattr(install.sys, "executable", "/opt/some/bin/python3")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setattr(install, "find_spec", lambda name: name)
    return lambda origin: monkeypatch.setattr(install, "distribution", lambda name: Installed(origin))


def test_a_clone_is_installed_from_its_folder(install_from: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from({"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    assert write_assay_line("plots") == f"/opt/some/bin/python3 -m pip install -e '{tmp_path}[plots]'"
    install_from({"url": tmp_path.as_uri(), "dir_info": {}})
    monkeypatch.chdir(tmp_path)
    assert write_assay_line("plots") == "/opt/some/bin/python3 -m pip install '.[plots]'"
    assert write_assay_line() == "/opt/some/bin/python3 -m pip install ."


def test_a_folder_with_a_space_is_one_word(install_from: Install, tmp_path: Path) -> None:
    place = tmp_path / "my clone"
    place.mkdir()
    install_from({"url": place.as_uri(), "dir_info": {}})
    assert shlex.split(write_assay_line("plots"))[-1] == f"{place}[plots]"


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        ({"url": "https://host/a.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}, "assay[plots] @ git+https://host/a.git@abc"),
        ({"url": "https://host/assay-1.whl", "archive_info": {}}, "assay[plots] @ https://host/assay-1.whl"),
    ],
)
def test_what_came_from_a_server_is_installed_from_there(install_from: Install, origin: dict[str, object], requirement: str) -> None:
    install_from(origin)
    assert shlex.split(write_assay_line("plots"))[-1] == requirement


def test_where_nothing_says_whence_it_came_the_packages_are_named(install_from: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "SOURCE", Path("/no/clone"))
    for origin in (None, {"url": "file:///no/folder/that/is/there", "dir_info": {}}):
        install_from(origin)
        assert write_assay_line("plots").endswith(" install 'matplotlib>=3.8'")


def test_the_pip_of_the_python_that_runs_is_used(install_from: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from(None)
    monkeypatch.setattr(install.sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setattr(install.sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.chdir(tmp_path)
    assert write_install_line("cmaes") == ".venv/bin/python -m pip install cmaes"
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / ".venv"))
    assert write_install_line("cmaes") == "python -m pip install cmaes"


def test_an_environment_without_pip_is_filled_by_uv(install_from: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from(None)
    monkeypatch.setattr(install, "find_spec", lambda name: None)
    assert write_install_line("cmaes") == "uv pip install --python /opt/some/bin/python3 cmaes"


def test_extras_have_the_requirements_of_the_package() -> None:
    assert set(list_extra("search")) == set(EXTRAS["search"])
    assert list_extra("no-such-extra") == []


def test_no_other_place_of_the_source_spells_the_line_out() -> None:
    spelled = re.compile(r"pip install|'assay\[")
    files = [path for path in SOURCE.rglob("*") if path.suffix in (".py", ".toml", ".html") and path.name != "install.py"]
    assert len(files) > 200
    assert [str(path) for path in files if spelled.search(path.read_text(encoding="utf-8"))] == []


def test_every_extra_that_a_message_names_is_there() -> None:
    named = {
        extra
        for path in SOURCE.rglob("*.py")
        for extra in re.findall(r"write_assay_line\([\"'](\w+)[\"']\)", path.read_text(encoding="utf-8"))
    }
    assert named >= {"plots", "report", "search", "hub"}
    assert named <= set(EXTRAS)
