"""`assay`: all commands, in panels by what they are for."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from assay.cli import compress, inspect, machine, score, study, train
from assay.cli.completion import add_completion
from assay.cli.help_page import HelpCommand, HelpGroup
from assay.cli.welcome import WELCOME, version
from assay.errors import UserError


def _by_name(*commands: Callable[..., None]) -> dict[str, Callable[..., None] | typer.Typer]:
    return {command.__name__.replace("_", "-"): command for command in commands}


PANELS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Train": _by_name(train.train, train.resume, train.watch, train.sample),
    "Score and compare": _by_name(score.score, score.compare, score.quality, score.report, compress.compress, compress.decompress),
    "Many runs": {"study": study.app, "search": study.search},
    "Look": _by_name(inspect.runs, inspect.show, inspect.diff, inspect.kinds, inspect.data, inspect.schedule),
    "Check and measure": _by_name(machine.doctor, machine.bench, machine.fit_batch, machine.lr_range, machine.verify_resume),
}
MOVED = {"demo": "python examples/six_lies.py, in Assay's source"}  # commands of earlier versions


class PanelGroup(HelpGroup):
    """Lists its commands in panels. They are plain text: boxes leave no room for options in a narrow terminal."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command as usual. Raises UserError for one of earlier versions, which says where it went."""
        if args[0] in MOVED and not ctx.resilient_parsing:
            raise UserError(f"assay {args[0]} is an example now; run {MOVED[args[0]]}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a heading for each panel, and a line for each of its commands."""
        longest = max(map(len, self.commands))
        for panel, commands in PANELS.items():
            with formatter.section(panel):
                rows = [(name, (self.commands[name].short_help or "").partition("\n")[0]) for name in commands]
                formatter.write_dl([(name.ljust(longest), text) for name, text in rows])


app = typer.Typer(
    name="assay",
    cls=PanelGroup,
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
            app.command(_name, cls=HelpCommand, short_help=_command.__doc__, rich_help_panel=_panel)(add_completion(_command))


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, print_version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False
) -> None:
    """Start with `assay train bible`: a model of the Bible, verses it wrote, and one number, in five minutes."""
    if print_version:
        print(version())
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(WELCOME)
