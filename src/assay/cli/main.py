"""`assay`: the commands, each in a file of its own, in groups of what they are for."""

import shutil
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from assay.cli import (
    bench,
    compare,
    compare_configs,
    compress,
    data,
    demo,
    doctor,
    fit_batch,
    kinds,
    lr_range,
    quality,
    report,
    resume,
    runs,
    sample,
    schedule,
    score,
    search,
    show,
    study,
    train,
    verify_resume,
    watch,
)
from assay.cli.completion import completing
from assay.cli.welcome import WELCOME, version

PANELS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Train": {
        "train": train.train,
        "resume": resume.resume,
        "watch": watch.watch,
        "sample": sample.sample,
    },
    "Score and compare": {
        "score": score.score,
        "compare": compare.compare_runs,
        "quality": quality.quality,
        "report": report.report,
        "compress": compress.compress,
        "decompress": compress.decompress,
    },
    "Many runs": {
        "study": study.app,
        "search": search.search,
    },
    "Look": {
        "runs": runs.runs,
        "show": show.show,
        "diff": compare_configs.diff,
        "kinds": kinds.kinds,
        "data": data.data,
        "schedule": schedule.schedule,
    },
    "Check and measure": {
        "doctor": doctor.doctor,
        "bench": bench.bench,
        "fit-batch": fit_batch.fit_batch,
        "lr-range": lr_range.lr_range,
        "verify-resume": verify_resume.verify_resume,
        "demo": demo.demo,
    },
}


WIDEST = 80  # columns of a help page: longer lines are hard to read


class Panels(TyperGroup):
    """Lists its commands in panels. They are plain text: boxes leave no room for options in a narrow terminal."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """As usual, but that help fits into terminals of less than 50 columns too."""
        return super().make_context(*arguments, **{"terminal_width": min(shutil.get_terminal_size().columns, WIDEST) - 2, **named})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A heading for each panel, and a line for each of its commands."""
        longest = max(map(len, self.commands))
        for panel, commands in PANELS.items():
            with formatter.section(panel):
                rows = [(name, (self.commands[name].short_help or "").partition("\n")[0]) for name in commands]
                formatter.write_dl([(name.ljust(longest), told) for name, told in rows])


app = typer.Typer(
    name="assay",
    cls=Panels,
    help="Train, score and compare small language models, with numbers that can be trusted.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _panel, _commands in PANELS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, short_help=_command.info.help, rich_help_panel=_panel)
        else:
            app.command(_name, short_help=_command.__doc__, rich_help_panel=_panel)(completing(_command))


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, tell_version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False
) -> None:
    """Start with `assay train bible`: a model of the Bible, verses it wrote, and one number, in five minutes."""
    if tell_version:
        print(version())
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(WELCOME)
