"""What the docs say can be done: the plug-in of add-a-mixer.md works as it stands there, recipes load, commands and options exist."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from assay.cli.main import app
from assay.core.recipe import apply_overrides, list_recipes
from assay.experiment.config import ExperimentConfig

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
TEXT = "In the beginning God created the heaven and the earth.\nAnd the earth was without form, and void.\n" * 20


def code_blocks(page: str) -> dict[str, str]:
    """The titled code blocks of a page of the docs."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL))


def commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every line of a code block that begins with `assay`, with or without a prompt."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```(?:sh|text)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for line in re.findall(r"^(?:\$ )?(assay .*?)(?: +#.*| \| .*)?$", block, re.MULTILINE):
                if not line.startswith(("assay: ", "assay --")):
                    found.append((page.name, re.findall(r"(?:'[^']*'|\"[^\"]*\"|\S)+", line.removeprefix("assay "))))
    return found


COMMANDS = commands()
MISTAKES = (
    "bibel",
    "model.widht",
    "model.block.mixer=ful",
    "heads=5",
    "heads=four",
    "model.position.length=64",
    "plan.batch=8",
)  # shown with their errors


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package of add-a-mixer.md as pip would install it."""
    folder, blocks = tmp_path_factory.mktemp("plugin"), code_blocks("add-a-mixer.md")
    project = tomllib.loads(blocks["pyproject.toml"])["project"]
    (folder / "assay_ema").mkdir()
    (folder / "assay_ema" / "__init__.py").touch()
    (folder / "assay_ema" / "ema.py").write_text(blocks["assay_ema/ema.py"], encoding="utf-8")
    info = folder / f"assay_ema-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"]
    lines = [line for group, entries in groups.items() for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (folder / "mine.txt").write_text(TEXT)
    return folder


def run(plugin: Path, *arguments: str, cwd: Path) -> str:
    """The standard output of Python with the plug-in installed; fails where the command fails."""
    places = {f"ASSAY_{name.upper()}": str(plugin / name) for name in ("cache", "runs")}  # other tests would take its run for the last
    environment = {**os.environ, "PYTHONPATH": str(plugin), "OMP_NUM_THREADS": "1", **places}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_mixer_of_the_page_appears_by_being_installed(plugin: Path) -> None:
    listed = json.loads(run(plugin, "-m", "assay", "kinds", "--json", cwd=plugin))
    assert "ema" in listed["mixer"]


def test_the_mixer_of_the_page_trains(plugin: Path) -> None:
    small = ("model.width=16", "model.depth=1", "tokenizer=byte", "batches.window=32", "batches.size=4", "train.budget=2steps")
    text = ("corpus={kind=text, path=mine.txt, document=line}", "split={kind=contiguous, validation=0.2, test=0}")
    mixer = ("model.block.mixer=ema", "model.position=none", "model.block.mixer.longest=8")
    figures = json.loads(run(plugin, "-m", "assay", "train", "bible", *text, *small, *mixer, "--json", cwd=plugin))
    assert 0 < figures["bits_per_byte"] < 10
    assert figures["scores"]["best"]["coverage"] == 1


@pytest.mark.slow
def test_the_mixer_of_the_page_has_every_property(plugin: Path) -> None:
    suite = ("-m", "pytest", "tests/properties", "-k", "mixer/ema", "-p", "no:cacheprovider", "-p", "no:xdist")
    told = run(plugin, *suite, cwd=ROOT)
    passed = re.search(r"(\d+) passed", told)
    assert passed is not None, told
    assert int(passed[1]) > 40
    assert "xfailed" not in told


def test_the_recipe_of_the_config_page_loads(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(code_blocks("config.md")["mine.toml"], encoding="utf-8")
    config = ExperimentConfig.load(str(recipe))
    assert config.corpus.kind == "text"  # type: ignore[attr-defined]
    assert config.train.budget == "3epochs"


def test_commands_are_found_on_the_pages() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_a_command_on_a_page_exists_with_its_options_and_overrides(page: str, words: list[str]) -> None:
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    if hasattr(command, "commands"):
        command = command.commands[words[1]]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
    subject, overrides = words[1:2], [word.strip("'") for word in words[2:] if re.match(r"'?[a-z_.0-9]+=", word)]
    shown_as_mistake = any(mistake in word for mistake in MISTAKES for word in words)
    if words[0] == "train" and subject[0] in list_recipes() and not shown_as_mistake and not any("ema" in word for word in words):
        ExperimentConfig.load(subject[0], overrides)
    elif overrides:
        apply_overrides({}, overrides)


PAGE = """\
```python title="count.py"
import os, signal, sys, time
print(*range(9), "x  ", sep="\\n")
print(os.getcwd(), file=sys.stderr, flush=True)
if sys.argv[1:] == ["waits"]:
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    print("ready", flush=True)
    time.sleep(2)
open("drawn.svg", "w").close()
```

<!-- output: first 1, last 2 -->
```text
$ python count.py
an old line
```

![drawn](pictures/drawn.svg)

<!-- output: first 0, last 1; Ctrl-C at "ready" -->
```text
$ python count.py waits
```

```sh
$ false
```
"""


def regenerated(page: Path) -> subprocess.CompletedProcess[str]:
    """What docs/regenerate.py does with a page."""
    command = [sys.executable, str(ROOT / "docs" / "regenerate.py"), str(page)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with an old output, a command to be interrupted, and a picture."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    return tmp_path / "page.md"


def test_outputs_of_a_page_are_made_anew_by_its_commands(page: Path) -> None:
    assert regenerated(page).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert "$ python count.py\n0\n...\nx\n~\n```\n" in text
    assert "$ python count.py waits\n...\nready\n```\n" in text
    assert "old line" not in text
    assert "```sh\n$ false\n```" in text
    assert (page.parent / "pictures" / "drawn.svg").exists()
    assert regenerated(page).returncode == 0
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("change", [("count.py\n", "missing.py\n"), ('"ready" -->', '"never" -->'), ('"x  "', '"```"')])
def test_a_page_whose_commands_fail_stays_as_it_was(page: Path, change: tuple[str, str]) -> None:
    page.write_text(PAGE.replace(*change), encoding="utf-8")
    done = regenerated(page)
    assert done.returncode != 0
    assert page.read_text(encoding="utf-8") == PAGE.replace(*change)


@pytest.mark.parametrize("name", ["tutorial.md", "texts.md"])
def test_every_command_of_a_page_that_is_run_has_an_output_without_paths_of_the_machine(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n\$ (.*?)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == len(re.findall(r"^```text$", text, re.MULTILINE)) > 0
    assert all(output.strip() for _, output in blocks)
    assert not re.search(r"/(tmp|root|home|Users|private)/", text)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
