"""`assay score RUN --legacy mainrun`: the figures of a hobby harness beside the honest one."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from assay.cli.options import SHAPES, Harness
from assay.errors import UserError
from assay.evaluation.legacy import LABEL, Shape, legacy_figure, parse_shapes
from assay.evaluation.score import Score, Scorer
from assay.models.base import Model
from assay.runs.directory import RunDirectory
from assay.terminal.tables import print_table


def shapes(harness: Harness | None, text: str | None) -> list[Shape]:
    """The shapes that were asked for; none where no harness was named. Raises UserError for a setting that would not be used."""
    if harness is None and text is not None:
        raise UserError("--legacy-shapes: says how a harness reads the text; add --legacy mainrun")
    return [] if harness is None else parse_shapes(text or SHAPES)


def legacy_rows(run: RunDirectory, name: str, model: Model, scorer: Scorer, wanted: Sequence[Shape]) -> list[dict[str, Any]]:
    """What the harness reports for each shape, kept in the run as legacy/NAME.json."""
    part, tokenizer = scorer.reading.part, scorer.tokenizer
    found = [legacy_figure(model, part, tokenizer, shape, scorer.device).tree() for shape in wanted]
    run.write_json(f"legacy/{name}.json", {"harness": "mainrun", "label": LABEL, "figures": found, "protocol": scorer.protocol.tree()})
    return found


def print_legacy(out: Console, found: Sequence[dict[str, Any]], honest: Score) -> None:
    """The harness's figures and the honest one, all in nats per character."""
    rows = [
        (
            f"{LABEL}, block {row['block']} x batch {row['batch']}",
            f"{row['nats_per_character']:.4f}",
            f"{100 * row['coverage']:.1f} %",
            "-" if row["nats_per_character_of_what_was_scored"] is None else f"{row['nats_per_character_of_what_was_scored']:.4f}",
        )
        for row in found
    ]
    per_character = f"{honest.tree()['nats_per_character']:.4f}"
    out.print("\nthe same weights by the harness mainrun, in nats per character:", markup=False)
    head = ("", "figure", "tokens scored", "over what was scored")
    print_table(out, head, [*rows, ("this score, every byte", per_character, "100.0 %", per_character)])
