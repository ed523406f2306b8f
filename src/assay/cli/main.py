"""`assay`: the commands, each in a file of its own."""

from collections.abc import Callable
from typing import Annotated

import typer

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

app = typer.Typer(
    name="assay",
    help="Train, score and compare small language models, with numbers that can be trusted.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "train": train.train,
    "resume": resume.resume,
    "watch": watch.watch,
    "score": score.score,
    "sample": sample.sample,
    "quality": quality.quality,
    "runs": runs.runs,
    "kinds": kinds.kinds,
    "show": show.show,
    "data": data.data,
    "compare": compare.compare_runs,
    "report": report.report,
    "search": search.search,
    "diff": compare_configs.diff,
    "schedule": schedule.schedule,
    "lr-range": lr_range.lr_range,
    "fit-batch": fit_batch.fit_batch,
    "verify-resume": verify_resume.verify_resume,
    "bench": bench.bench,
    "compress": compress.compress,
    "decompress": compress.decompress,
    "demo": demo.demo,
    "doctor": doctor.doctor,
}
for _name, _command in COMMANDS.items():
    app.command(_name, short_help=_command.__doc__)(completing(_command))
app.add_typer(study.app, name="study")


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
