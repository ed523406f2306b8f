"""Read stored scores: metrics and protocol in scores/NAME.json of a run, the bits of each unit of the text in NAME.npz beside it."""

import io
import math
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from assay.core.renames import UNITS
from assay.core.trees import Tree
from assay.errors import RunError
from assay.runs.checkpoint_ref import CheckpointRef, format_step
from assay.runs.directory import METRICS, RunDirectory, read_score
from assay.runs.json_files import read_file
from assay.runs.weights import count_weights

MAX_UNIT_BYTES, MAX_HEAD_BYTES = 128, 65_536  # in the .npz of a score: for a byte of the text, and beside
ROUNDING = 1e-6  # by which bits per byte may differ from the sum over units, relatively


@dataclass(frozen=True, eq=False)
class StoredScore:
    """A complete score of one run, by unit, with the config of the run and what it was trained on."""

    name: str  # of the run
    values: Tree  # the JSON
    sizes: npt.NDArray[np.int64]  # [U] bytes
    bits: npt.NDArray[np.float64]  # [U]
    config: Tree  # of the run; empty where there is none
    training_counts: dict[str, int]  # tokens, bytes, parameters, as far as they are known

    @property
    def protocol(self) -> Tree:
        """The conditions under which the score was measured."""
        protocol: Tree = self.values["protocol"]
        return protocol

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of the whole part."""
        return float(self.bits.sum() / self.sizes.sum())

    @property
    def context_bytes(self) -> float:
        """The longest context of a target, in bytes of this text."""
        return float(self.protocol["context"] * self.values["bytes_scored"] / self.values["tokens_scored"])

    @property
    def checkpoint(self) -> CheckpointRef | None:
        """Which weights of the run were scored."""
        return CheckpointRef.parse(self.protocol.get("checkpoint"))


def read_final_score(run: RunDirectory, checkpoint: str) -> StoredScore:
    """Read the score of the `best` or `last` weights with which a run ended. Raises RunError."""
    return read_stored_score(run.path / "scores" / f"end-{checkpoint}.json", run)


def find_stored_score(run: RunDirectory, split: str, checkpoint: CheckpointRef, policy: str, stride: int | None) -> Path | None:
    """Find the latest complete score of a checkpoint, read in this way, without dynamic evaluation; None: not scored yet.

    The best checkpoint may be the last one as well; the average of the weights is another model. Raises RunError where there is none but a
    damaged score, which may be it.
    """
    damage: RunError | None = None
    for file in reversed(run.score_files()):
        try:
            score = read_score(file)
        except RunError as damaged:
            damage = damaged
            continue
        protocol = score["protocol"]
        scored = CheckpointRef.parse(protocol.get("checkpoint"))
        same_weights = scored is not None and scored.weights_key == checkpoint.weights_key and not protocol.get("dynamic")
        same_reading = (protocol["split"], protocol["policy"]) == (split, policy) and stride in (None, protocol.get("stride"))
        if same_weights and same_reading and score.get("units") and file.with_suffix(".npz").is_file():
            return file
    if damage is not None:
        raise damage
    return None


def read_stored_score(file: Path, run: RunDirectory | None = None, checkpoint: CheckpointRef | None = None) -> StoredScore:
    """Read the score in a JSON file; `checkpoint`: the reference by which it was found, as the best one may be the last one as well.

    Raises RunError if it is damaged, covers only part of the text, has no units, or is not finite.
    """
    try:
        score = read_score(file)
    except OSError as missing:
        raise RunError(f"{file}: is not a stored score ({missing.strerror}); make one with `assay score RUN`") from None
    if score.get("units"):
        score["units"]["kind"] = UNITS.get(score["units"]["kind"], score["units"]["kind"])
    if score["bytes_scored"] != score["bytes_in_split"]:
        covered = f"{score['bytes_scored']:,} of {score['bytes_in_split']:,} bytes"
        raise RunError(f"{file}: covers {covered}, and incomplete scores are not compared; score the whole split with `assay score RUN`")
    sizes, bits = _read_units(file.with_suffix(".npz"), score)
    if not np.isfinite(bits).all():
        raise RunError(f"{file}: gives some of the text no probability at all, so there is no difference to compute; train the run again")
    config = {} if run is None else run.config_tree()
    if checkpoint is not None:
        score["protocol"]["checkpoint"] = checkpoint.to_dict()
    scored = CheckpointRef.parse(score["protocol"].get("checkpoint"))
    counts = {} if run is None or scored is None else _read_training_counts(run, scored.step)
    return StoredScore(file.parent.parent.name if run is None else run.name, score, sizes, bits, config, counts)


def _read_units(file: Path, score: Tree) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Read the bytes and the bits of each unit. Raises RunError where they are damaged, or are not those of the score."""
    remedy = "score the run again with `assay score`"
    try:
        content = io.BytesIO(read_file(file))
        with ZipFile(content) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_UNIT_BYTES * score["bytes_in_split"] + MAX_HEAD_BYTES:
                raise ValueError("it is larger than any score of the text")
        with np.load(content) as arrays:
            sizes, bits = arrays["bytes"], arrays["bits"]
        if sizes.dtype.kind != "i" or bits.dtype.kind != "f" or not (sizes.shape == bits.shape == (len(sizes),)):
            raise ValueError("it holds other arrays than a score's")
    except FileNotFoundError:
        raise RunError(f"{file}: is missing, so the score was not kept by unit; {remedy}") from None
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        BadZipFile,
        zlib.error,
    ) as fault:
        raise RunError(f"{file}: is damaged ({str(fault).splitlines()[0] if str(fault) else type(fault).__name__}); {remedy}") from None
    total, bytes_scored = float(bits.sum()), int(sizes.sum())
    stated = score["bits_per_byte"] * bytes_scored
    if bytes_scored != score["bytes_scored"] or (math.isfinite(total) and not math.isclose(total, stated, rel_tol=ROUNDING)):
        raise RunError(f"{file}: is of another score than {file.with_suffix('.json').name} beside it; {remedy}")
    return sizes, bits


def _read_training_counts(run: RunDirectory, step: int) -> dict[str, int]:
    """Read what the weights at a step were trained on, and how many they are, as far as that is quickly known."""
    counts: dict[str, int] = {}
    part = run.text_part("train")
    seen = [line["targets"] for line in run.read_lines(METRICS) if "targets" in line and line["step"] <= step]
    if seen and part.get("tokens") and "bytes" in part:
        counts["training_tokens"] = seen[-1]
        counts["training_bytes"] = round(seen[-1] * part["bytes"] / part["tokens"])
    with suppress(OSError, ValueError):  # not saved, pruned, or damaged
        counts["parameters"] = count_weights(run.checkpoints / format_step(step) / "model.safetensors")
    return counts
