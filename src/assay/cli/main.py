"""`assay`: the commands, each in a file of its own."""

import typer

from assay.cli import compare_configs, kinds, resume, runs, sample, score, show, train, verify_resume

app = typer.Typer(
    name="assay",
    help="Train, score and compare small language models, with numbers that can be trusted.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("train")(train.train)
app.command("resume")(resume.resume)
app.command("score")(score.score)
app.command("sample")(sample.sample)
app.command("runs")(runs.runs)
app.command("kinds")(kinds.kinds)
app.command("show")(show.show)
app.command("diff")(compare_configs.diff)
app.command("verify-resume")(verify_resume.verify_resume)


@app.callback()
def _root() -> None:
    """Start with `assay train bible`: a model of the Bible, verses it wrote, and one number, in five minutes."""
