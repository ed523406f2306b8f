"""A local model of transformers, scored like a run and kept beside the runs, in a folder that is none."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from assay.core.devices import resolve
from assay.data.split import PARTS, PartName
from assay.errors import DataError, UserError, nearest
from assay.evaluation.detail import store
from assay.evaluation.protocol import Protocol
from assay.evaluation.score import Scorer
from assay.evaluation.windows import Windows
from assay.experiment.config import ExperimentConfig
from assay.hf.model import FileTokenizer, open_folder, read_text
from assay.runs.directory import RunDirectory
from assay.runs.provenance import code_version
from assay.text.store import Part
from assay.trainer.rescore import KeptScore, used_test

CONTEXT = 1024  # tokens in a window unless said otherwise: GPT-2's, and no more for models that read further, as the cost grows with it


class HfRequest(NamedTuple):
    """Which model of transformers is scored, on which text, and how."""

    folder: Path
    text: Path | None
    corpus: str | None
    split: str
    context: int | None
    stride: int | None
    batch_size: int
    device: str | None


class Text(NamedTuple):
    """A text to be scored and what the protocol says of it."""

    part: Part
    split: str
    split_sha256: str
    groups: tuple[str, ...]


def score_hf(asked: HfRequest, data_dir: Path | None, runs: Path) -> KeptScore:
    """Every byte of a file, or of a part of a recipe's corpus. Raises UserError."""
    if (asked.text is None) == (asked.corpus is None):
        raise UserError("--hf: give --text FILE or --corpus RECIPE, so that there is something to score")
    if asked.text is not None and asked.split != "validation":
        raise UserError("--split: a file has no parts; leave it out, or give --corpus RECIPE")
    device = resolve(asked.device or "auto")
    model, tokenizer = open_folder(asked.folder)
    context = min(asked.context or CONTEXT, model.length)
    if asked.context is not None and asked.context > model.length:
        raise UserError(f"--context: {asked.context} tokens exceed the model's {model.length} positions; lower it")
    stride = context if asked.stride is None else asked.stride
    if stride > context:
        raise UserError(f"--stride: {stride} exceeds the context of {context} tokens, so tokens would be left out; choose 1 to {context}")
    text = _file(asked.text, tokenizer) if asked.text is not None else _corpus(str(asked.corpus), asked.split, data_dir, tokenizer)
    protocol = Protocol(
        split=text.split,
        text_sha256=text.part.sha256,
        split_sha256=text.split_sha256,
        tokenizer=tokenizer.digest,
        policy="disjoint" if stride == context else "strided",
        context=context,
        stride=stride,
        streams=0,
        document_mask=False,
        dtype="float32",
        checkpoint=None,
        model=f"transformers model {asked.folder.resolve().name}, weights {weights_digest(asked.folder)}",
        code=code_version(),
    )
    reading = Windows(text.part, tokenizer.end, context, stride, False)
    result = Scorer(reading, tokenizer, protocol, device, asked.batch_size, group_names=text.groups).score(model.to(device))
    folder = runs / f"hf-{asked.folder.resolve().name}-{weights_digest(asked.folder)}"
    name = re.sub(r"[^\w.-]+", "-", text.split)
    run, name = RunDirectory(folder), f"{name}-context{context}-stride{stride}"
    stored = store(run, name, result)
    uses = used_test(run, stored) if asked.split == "test" and asked.corpus is not None else []
    return KeptScore(result, name, stored, run.path / "scores" / f"{name}.json", uses)


def weights_digest(folder: Path) -> str:
    """The first digits of the sha256 of all files of weights."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")):
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:8]


def _file(path: Path, tokenizer: FileTokenizer) -> Text:
    """A file as it is, in one piece."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"--text: {path} cannot be read ({error.strerror})") from None
    return Text(read_text(tokenizer, [raw], b""), f"text {path.name}", "", ())


def _corpus(recipe: str, split: str, data_dir: Path | None, tokenizer: FileTokenizer) -> Text:
    """A part of a recipe's corpus under the recipe's split: the same bytes as a run of that recipe is scored on."""
    config = ExperimentConfig.load(recipe)
    if split not in PARTS:
        raise UserError(f"--split: no part '{split}'; {nearest(split, PARTS)}")
    name: PartName = split
    corpus = config.corpus.load(data_dir)
    divided = config.split.apply(corpus.documents, corpus.separator)
    names = tuple(dict.fromkeys(corpus.groups or ()))
    groups = None if corpus.groups is None else [names.index(corpus.groups[index]) for index in divided.indices[name]]
    return Text(read_text(tokenizer, divided.documents[name], corpus.separator, groups), split, divided.sha256(), names)
