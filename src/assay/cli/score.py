"""`assay score RUN`: bits per byte over every byte of a split, and what else can be said of every target."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from assay.cli.options import SHAPES, AsJson, DataDir, Harness, Policy, RunsDir
from assay.errors import UserError
from assay.runs.directory import find, runs_folder
from assay.terminal.console import console, print_json

if TYPE_CHECKING:
    from assay.cli.score_transformers import Asked, Kept
    from assay.evaluation.score import Score
    from assay.trainer.rescore import Opened


def score(
    run: Annotated[str | None, typer.Argument(help="A run's directory, its name, or 'last'; none with --hf.", metavar="RUN")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test; each use of test is written into the run.")] = "validation",
    checkpoint: Annotated[str, typer.Option(help="best, last, average, or a step.")] = "best",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time; the number does not depend on it.")] = 32,
    policy: Annotated[
        Policy | None, typer.Option(help="disjoint, strided, carried or documents (absent: as the text was read in training).")
    ] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="New targets a window; alone it means --policy strided.")] = None,
    minimum_context: Annotated[
        int | None, typer.Option(min=1, help="Tokens that each target sees at least: another way to give the stride.")
    ] = None,
    detail: Annotated[bool, typer.Option("--detail", help="Print where the bits go: by position, class, group and document.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw how well the probabilities are calibrated, as .svg or .png.")] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Score also with weights that learn from what was scored.")] = False,
    dynamic_rate: Annotated[float | None, typer.Option(min=0.0, help="How fast they learn (absent: 0.0002).")] = None,
    dynamic_decay: Annotated[float | None, typer.Option(min=0.0, help="How strongly they are drawn back (absent: 0.003).")] = None,
    legacy: Annotated[Harness | None, typer.Option(help="Show what this harness would report: mainrun.")] = None,
    legacy_shapes: Annotated[str | None, typer.Option(help=f"Its blocks and batches (absent: {SHAPES}).")] = None,
    hf: Annotated[Path | None, typer.Option(help="Score the transformers model (GPT-2 or LLaMA) in this folder instead of a run.")] = None,
    text: Annotated[Path | None, typer.Option(help="With --hf: the file to score, as it is.")] = None,
    corpus: Annotated[str | None, typer.Option(help="With --hf: the recipe whose corpus is scored, one part of it.")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="With --hf: tokens in a window (absent: the model's, at most 1024).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (absent: as trained).")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Score every byte of a split once, and keep the figures with their protocol in the run."""
    from assay.cli.score_dynamic import adaptation, dynamic_column
    from assay.cli.score_dynamic import tree as dynamic_tree
    from assay.cli.score_legacy import legacy_rows, shapes
    from assay.cli.score_transformers import Asked, Kept, refuse_without_effect
    from assay.core.devices import resolve
    from assay.experiment.assemble import refuse_growing_state
    from assay.experiment.scorers import make_scorer
    from assay.reports import reliability_picture
    from assay.trainer.rescore import open_run, protocol_name

    if picture is not None:
        reliability_picture.check(picture)
    learning, wanted = adaptation(dynamic_rate, dynamic_decay, dynamic=dynamic), shapes(legacy, legacy_shapes)
    show = Show(detail, picture, as_json)
    if hf is not None:
        given = {"RUN": run, "--checkpoint": checkpoint != "best", "--policy": policy, "--minimum-context": minimum_context}
        given |= {"--dynamic": dynamic, "--legacy": legacy}
        refuse_without_effect(given, "is not used with --hf, which reads windows of --context tokens; leave it out")
        _score_folder(Asked(hf, text, corpus, split, context, stride, batch_size, device), show, data_dir, runs_folder(runs_dir))
        return
    refuse_without_effect(
        {"--text": text, "--corpus": corpus, "--context": context}, "is for --hf FOLDER; a run has its own text and window"
    )
    if run is None:
        raise UserError("missing argument RUN, such as `last`, or a transformers model with --hf; see `assay score --help`")
    scored = open_run(find(run, runs_folder(runs_dir)), split, checkpoint, data_dir)
    if policy == "carried":
        refuse_growing_state(scored.model, "--policy")
    target = resolve(device or scored.config.train.device)
    stride = _stride(scored.config.plan.window, stride, minimum_context)
    labels = (split, scored.checkpoint)
    scorer, training = (
        make_scorer(scored.config, scored.prepared, scored.prepared.parts[part], labels, target, policy, stride)
        for part in (scored.split, "train")
    )
    result = replace(scorer, batch_size=batch_size).score(scored.model.to(target))
    name = f"{split}-{checkpoint}-step{scored.checkpoint.step}-{protocol_name(scorer.protocol)}"
    tree = _keep(Kept(scored.run, name, result), show, on_test=split == "test")
    if learning is not None:
        tree["dynamic"] = dynamic_tree(result, dynamic_column(scored.run, name, scored.model, scorer, training.reading, learning))
    if wanted:
        tree["legacy"] = legacy_rows(scored.run, name, scored.model, scorer, wanted)
    _tell_beside(scored, tree, result, as_json=as_json)


def _score_folder(asked: "Asked", show: "Show", data_dir: Path | None, runs: Path) -> None:
    """Score a transformers model and tell it."""
    from assay.cli.score_transformers import score_folder

    tree = _keep(score_folder(asked, data_dir, runs), show, on_test=asked.split == "test" and asked.corpus is not None)
    if show.as_json:
        print_json(tree)
    else:
        console().print(f"kept: {tree['stored']} (`assay compare RUN FILE` sets it beside a run)", markup=False, soft_wrap=True)


def _tell_beside(scored: "Opened", tree: dict[str, Any], result: "Score", *, as_json: bool) -> None:
    """What stands beside the score of a run: figures of other kinds, in columns of their own, and the yardsticks of the text."""
    from assay.cli.score_dynamic import print_dynamic
    from assay.cli.score_legacy import print_legacy
    from assay.views.ending import YARDSTICKS, beside, measured

    out = console(as_json=as_json)
    if not as_json and "dynamic" in tree:
        print_dynamic(out, tree["dynamic"])
    if not as_json and "legacy" in tree:
        print_legacy(out, tree["legacy"], result)
    found = measured(out, scored.prepared, scored.split)
    if found is not None and scored.split == "validation":
        scored.run.write_json(YARDSTICKS, found)
    if as_json:
        print_json({**tree, "yardsticks": found})
    elif found is not None:
        beside(out, result.bits_per_byte, found, scored.prepared.parts["train"].bytes)
        if scored.split == "train":
            out.print("xz and the n-gram are left out: they would have read this very text", soft_wrap=True)


class Show(NamedTuple):
    """How a score is to be told."""

    detail: bool
    picture: Path | None
    as_json: bool


def _keep(kept: "Kept", show: Show, *, on_test: bool) -> dict[str, Any]:
    """Store a score and tell its headline; what was stored, and where."""
    from assay.evaluation.detail import store
    from assay.reports import reliability_picture
    from assay.trainer.rescore import used_test
    from assay.views.score_tables import print_detail, print_headline

    stored = store(kept.run, kept.name, kept.result)
    uses = used_test(kept.run, stored) if on_test else []
    if show.picture is not None:
        reliability_picture.draw(stored, f"{kept.run.name}: {kept.result.protocol.describe()}", show.picture)
    if not show.as_json:
        out = console()
        print_headline(out, kept.result, stored, uses)
        if show.detail:
            print_detail(out, stored)
    return {**stored, "stored": str(kept.run.path / "scores" / f"{kept.name}.json"), **({"test_uses": uses} if uses else {})}


def _stride(context: int, stride: int | None, minimum_context: int | None) -> int | None:
    """The stride that was asked for, directly or by the tokens c that each target sees at least: s = T - c + 1."""
    if minimum_context is None:
        return stride
    if stride is not None:
        raise UserError("--minimum-context: says the same as --stride in another way; give one of them")
    if minimum_context > context:
        raise UserError(f"--minimum-context: {minimum_context} exceeds the context of {context} tokens; choose 1 to {context}")
    return context - minimum_context + 1
