"""`assay quality RUN`: what a model writes, beside what people wrote."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import AsJson, DataDir, RunName, RunsDir
from assay.errors import UserError
from assay.runs.directory import find, runs_folder
from assay.terminal.console import console, print_json, visible
from assay.terminal.tables import print_table

if TYPE_CHECKING:
    from assay.generation.quality import Copy, Quality

SHOWN = 160  # characters of the longest copied span that are printed; the stored figures hold all of it


def quality(
    run: RunName,
    samples: Annotated[int, typer.Option(min=2, help="How many texts the model writes.")] = 200,
    tokens: Annotated[int | None, typer.Option(min=1, help="The most tokens in a text (absent: those of the longest document).")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides all draws.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="best, last, or a step.")] = "best",
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (absent: as trained).")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure whether a model writes or recites, beside held-out documents."""
    from assay.experiment.load import load_data, load_model, read_config
    from assay.generation.quality import assess, hold_out, longest_document, write
    from assay.generation.sampling import Sampling
    from assay.training import checkpoint as checkpoints

    directory = find(run, runs_folder(runs_dir))
    model, tokenizer = load_model(directory.path, checkpoint=checkpoint, device=device)
    ref = checkpoints.resolve(directory.checkpoints, checkpoint)
    prepared = load_data(read_config(directory), data_dir)
    if prepared.tokenizer.digest != tokenizer.digest:
        raise UserError(f"{directory.name}: the text gives another tokenizer than the run's; the corpus has changed since it was trained")
    if not prepared.parts["validation"].documents:
        raise UserError(f"{directory.name}: has no validation text to set its samples beside; train with a split that keeps some")
    limit = tokens or longest_document(prepared)
    limit = limit if model.length is None else min(limit, model.length)
    written = write(model, prepared, samples, limit, Sampling(temperature), seed)
    found = assess(written, hold_out(prepared, samples, limit, seed), prepared, limit)
    tree = {**found.tree(), "checkpoint": ref.tree(), "temperature": temperature, "seed": seed}
    stored = directory.write_json(f"quality/{checkpoint}-step{ref.step}-t{temperature:g}-n{samples}-s{seed}.json", tree)
    if as_json:
        print_json({**tree, "stored": str(stored)})
        return
    out = console()
    print_table(out, ("", "samples", "held-out"), _rows(found))
    if found.longest_copy is not None:
        out.print(_where(found.longest_copy), soft_wrap=True, markup=False)
    out.print(found.verdict, soft_wrap=True, markup=False)


def _rows(found: "Quality") -> list[tuple[str, str, str]]:
    from assay.data.leakage import RUN
    from assay.generation.variety import ORDERS

    sides = (found.samples, found.held_out)

    def row(label: str, *cells: str) -> tuple[str, str, str]:
        return label, cells[0], cells[1]

    return [
        row(f"texts, at most {found.limit} tokens each", *(f"{side.texts:,}" for side in sides)),
        row("ended by themselves", *(_share(side.ended) for side in sides)),
        row(f"distinct-{ORDERS[0]} to -{ORDERS[-1]} of tokens", *(_shares(side.distinct_tokens) for side in sides)),
        row(f"distinct-{ORDERS[0]} to -{ORDERS[-1]} of words", *(_shares(side.distinct_words) for side in sides)),
        row("in training, byte for byte", *(_share(side.verbatim) for side in sides)),
        row("in training, but for case and marks", *(_share(side.alike) for side in sides)),
        row(f"spans of {RUN} words in training", *(f"{side.known_passages:.1%} of {side.passages:,}" for side in sides)),
        row("longest span from training, bytes: 10, 50, 90 %", *(_numbers(side.copied_bytes) for side in sides)),
        row("the longest of all", *(f"{side.copied_longest:,}" for side in sides)),
        row("length, bytes: 10, 50, 90 %", *(_numbers(side.length_bytes) for side in sides)),
        row("distance of lengths from training documents' (D)", *(_figure(side.length_distance) for side in sides)),
    ]


def _where(copy: "Copy") -> str:
    group = "" if copy.group is None else f" ({copy.group})"
    more = "" if len(copy.span) <= SHOWN else " ..."
    return (
        f"\nlongest copy: {copy.bytes} bytes from byte {copy.byte:,} of training document {copy.document:,}{group}: "
        f'"{visible(copy.span[:SHOWN])}{more}"'
    )


def _share(value: Any) -> str:
    return "-" if value is None else f"{value:.1%}"


def _figure(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}"


def _shares(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:,.0f}" for value in values)
