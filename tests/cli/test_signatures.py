"""A file of the command line is signatures: commands with their options, each of which calls what does the work."""

import ast
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from assay.cli import main
from assay.cli.main import app

FOLDER = Path(main.__file__).parent
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")
LIGHT = (
    "typer",
    "rich",
    "assay.errors",
    "assay.core.renames",
    "assay.core.words",
    "assay.cli",
    "assay.terminal",
)  # beside the standard library
STATEMENTS = 14  # of a command
NO_COMMANDS = {  # functions and classes that are no command, and what they are for

    "completion.py": dict.fromkeys(
        (
            "complete_recipes", "complete_runs", "complete_studies", "complete_study_folders", "complete_runs_and_studies",
            "complete_families", "complete_configs", "complete_choices", "_runs_dir", "_filter", "add_completion", "set_up_completion",
            "_find_shell",
        ),
        "answers the shell before there is a command",
    ),
    "foreign_options.py": dict.fromkeys(
        ("explain_foreign_option", "_find_value", "_list_options"), "explains an option that was refused, and is imported only then"
    ),
    "help_page.py": dict.fromkeys(
        ("page_width", "HelpFormatter", "HelpContext", "HelpCommand", "HelpGroup"), "lays out help in terminals of any width"
    ),
    "machine.py": {"_bench_mixers": "the command `bench mixers`, whose first word is an argument of `bench`"},
    "main.py": {"_by_name": "the commands of a panel", "PanelGroup": "lists the commands in groups", "_root": "`assay` alone"},
    "options.py": {"uses_slurm": "two options that go together in three commands", "make_policy_option": "an option of three commands"},
    "study.py": {"_print_help": "`assay study` alone", "_this_command": "what goes on with a study that was stopped"},
    "welcome.py": {"version": "`assay --version`"},
}  # fmt: skip
LONG = {  # commands of more statements than that
    "score.py": {"score": "a run, or a model of another library, each with options of its own"},
    "train.py": {"sample": "shown while it is written, or whole"},
    "study.py": {"run": "made here, sent to a cluster, or only estimated"},
}
OTHER_IMPORTS = {  # of modules that are light too
    "welcome.py": {"assay"},
    "foreign_options.py": {"assay.core.config_keys", "assay.core.foreign_settings", "assay.core.recipe"},
}


def commands() -> dict[str, set[str]]:
    """The functions that are commands, by their file."""
    found: dict[str, set[str]] = {}
    for one in (one for panel in main.PANELS.values() for one in panel.values()):
        callbacks = [command.callback for command in one.registered_commands] if isinstance(one, typer.Typer) else [one]
        for callback in callbacks:
            assert callback is not None
            found.setdefault(Path(callback.__code__.co_filename).name, set()).add(callback.__name__)
    return found


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> set[str]:
    """The modules that a file imports as soon as it is imported."""
    plain = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}


def statements(function: ast.FunctionDef) -> int:
    """How many statements a function has, without its docstring and imports."""
    inner = [node for child in function.body for node in ast.walk(child) if isinstance(node, ast.stmt)]
    return len([node for node in inner if not isinstance(node, ast.Import | ast.ImportFrom)]) - 1


def test_the_commands_are_those_of_the_files() -> None:
    assert sum(map(len, commands().values())) == sum(
        len(getattr(command, "commands", {"": command}))
        for command in get_command(app).commands.values()  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_file_defines_is_a_command_or_listed_with_its_reason(path: Path) -> None:
    defined = {node.name for node in parsed(path).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert defined - commands().get(path.name, set()) == NO_COMMANDS.get(path.name, {}).keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_imports_nothing_but_what_options_and_consoles_need(path: Path) -> None:
    allowed = {name for name in imports(parsed(path)) if name.partition(".")[0] in sys.stdlib_module_names}
    allowed |= {name for name in imports(parsed(path)) if name in LIGHT or name.startswith(tuple(f"{light}." for light in LIGHT))}
    assert imports(parsed(path)) - allowed == OTHER_IMPORTS.get(path.name, set())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_command_is_short_or_listed_with_its_reason(path: Path) -> None:
    functions = [node for node in parsed(path).body if isinstance(node, ast.FunctionDef)]
    own = [function for function in functions if function.name in commands().get(path.name, set())]
    assert {function.name for function in own if statements(function) > STATEMENTS} == LONG.get(path.name, {}).keys()
