"""Scores as they are kept in runs: figures and protocol in NAME.json, what each unit of the text took in NAME.npz beside it."""

import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from assay.core.config import Tree
from assay.errors import RunError
from assay.runs.checkpoint_ref import CheckpointRef, step_name
from assay.runs.directory import METRICS, RunDirectory, read_score

BITS_ARE = ("bytes", "bits")  # the arrays that a comparison reads


@dataclass(frozen=True, eq=False)
class Stored:
    """A complete score of one run, by unit, and what is worth knowing of the run beside it."""

    name: str  # of the run
    figures: Tree  # the JSON
    sizes: npt.NDArray[np.int64]  # [U] bytes
    bits: npt.NDArray[np.float64]  # [U]
    config: Tree  # of the run; empty where there is none
    trained: dict[str, int]  # tokens, bytes, parameters, as far as they are known

    @property
    def protocol(self) -> Tree:
        """How the score came about."""
        protocol: Tree = self.figures["protocol"]
        return protocol

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of the whole part."""
        return float(self.bits.sum() / self.sizes.sum())

    @property
    def context_bytes(self) -> float:
        """The longest context of a target, in bytes of this text."""
        return float(self.protocol["context"] * self.figures["bytes_scored"] / self.figures["tokens_scored"])

    @property
    def checkpoint(self) -> CheckpointRef | None:
        """Which weights of the run were scored."""
        return checkpoint_of(self.protocol)


def checkpoint_of(protocol: Tree) -> CheckpointRef | None:
    """Which weights a stored protocol is of; None where they are no run's."""
    return CheckpointRef.read(protocol.get("checkpoint"))


def find_stored(run: RunDirectory, split: str, checkpoint: CheckpointRef, policy: str, stride: int | None) -> Path | None:
    """The latest complete score of a checkpoint, read in this way, with weights that stood still; None: not scored yet.

    The best checkpoint may be the last one as well; the average of the weights is another model. Raises RunError for a damaged score.
    """
    files = sorted((run.path / "scores").glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in files:
        figures = read_score(file)
        protocol = figures.get("protocol", {})
        of = checkpoint_of(protocol)
        wanted = of is not None and (protocol.get("split"), of.weights, protocol.get("policy")) == (split, checkpoint.weights, policy)
        still = not protocol.get("dynamic") and (stride is None or protocol.get("stride") == stride)
        if wanted and still and figures.get("units") and file.with_suffix(".npz").is_file():
            return file
    return None


def read_stored(file: Path, run: RunDirectory | None = None, asked: CheckpointRef | None = None) -> Stored:
    """The score in a JSON file; `asked`: the reference by which it was found, as the best checkpoint may be the last one as well.

    Raises RunError if it is of a part of the text only, was not kept by unit, or is not a number.
    """
    try:
        figures = json.loads(file.read_text())
        complete = figures["bytes_scored"] == figures["bytes_in_split"]
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise RunError(f"{file}: is not a stored score ({type(broken).__name__}: {broken}); make one with `assay score RUN`") from None
    if not complete:
        scored = f"{figures['bytes_scored']:,} of {figures['bytes_in_split']:,} bytes"
        raise RunError(f"{file}: covers {scored}, and incomplete scores are not compared; score the whole split with `assay score RUN`")
    try:
        with np.load(file.with_suffix(".npz")) as arrays:
            sizes, bits = (arrays[name] for name in BITS_ARE)
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        raise RunError(f"{file}: was not kept by unit; score the run again with `assay score`") from None
    if not np.isfinite(bits).all():
        raise RunError(f"{file}: gives some of the text no probability at all, so there is no difference to compute; train the run again")
    config = {} if run is None else tomllib.loads(run.config_text())
    if asked is not None:
        figures["protocol"]["checkpoint"] = asked.tree()
    of = checkpoint_of(figures["protocol"])
    trained = {} if run is None or of is None else _trained(run, of.step)
    return Stored(file.parent.parent.name if run is None else run.name, figures, sizes, bits, config, trained)


def _trained(run: RunDirectory, step: int) -> dict[str, int]:
    """What the weights at a step had seen by the metrics, and how many they are; nothing that would take long."""
    known: dict[str, int] = {}
    part = run.provenance().get("data", {}).get("parts", {}).get("train", {})
    seen = [line["targets"] for line in run.lines(METRICS) if "targets" in line and line["step"] <= step]
    if seen and part.get("tokens"):
        known["training_tokens"] = seen[-1]
        known["training_bytes"] = round(seen[-1] * part["bytes"] / part["tokens"])
    weights = run.checkpoints / step_name(step) / "model.safetensors"
    if weights.is_file():
        known["parameters"] = _weight_count(weights)
    return known


def _weight_count(weights: Path) -> int:
    """The values in a safetensors file, by its header: eight bytes of length, then JSON."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
