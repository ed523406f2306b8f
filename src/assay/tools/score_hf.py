"""Score a local model of transformers like a run; its scores are kept in a folder beside the runs."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from assay.core.devices import resolve_device
from assay.core.files import name_file
from assay.data.split import PARTS, PartName
from assay.errors import UserError, suggest
from assay.evaluation.protocol import Protocol
from assay.evaluation.readers import WindowReader
from assay.evaluation.score import Scorer
from assay.experiment.assemble import refuse_gaps
from assay.experiment.config import ExperimentConfig
from assay.hf.model import TransformersTokenizer, encode_documents, load_hf_model
from assay.runs.directory import RunDirectory
from assay.text.decompression import read_file
from assay.text.token_files import TokenizedPart
from assay.trainer.scoring import SavedScore, save_score

CONTEXT = 1024  # tokens in a window unless said otherwise: GPT-2's, and no more for models that read further, as the cost grows with it


class HfRequest(NamedTuple):
    """A request to score a model of transformers: the model, the text, and how it is read."""

    folder: Path
    text: Path | None
    corpus: str | None
    split: str
    context: int | None
    stride: int | None
    batch_size: int
    device: str | None


class ScoredText(NamedTuple):
    """A text to be scored, and its entries in the protocol."""

    part: TokenizedPart
    split: str
    split_sha256: str
    groups: tuple[str, ...]


def score_hf(request: HfRequest, data_dir: Path | None, runs: Path) -> SavedScore:
    """Score every byte of a file, or of a part of a recipe's corpus. Raises UserError."""
    if (request.text is None) == (request.corpus is None):
        raise UserError("--hf: give --text FILE or --corpus RECIPE, so that there is something to score")
    if request.text is not None and request.split != "validation":
        raise UserError("split: a file has no parts; leave it out, or give --corpus RECIPE")
    device = resolve_device("auto" if request.device is None else request.device, "device")
    model, tokenizer = load_hf_model(request.folder)
    context, stride = _choose_window(request, model.max_length)
    if request.text is not None:
        text = _read_file(request.text, tokenizer)
    else:
        text = _read_corpus(str(request.corpus), request.split, data_dir, tokenizer)
    digest = weights_digest(request.folder)
    reading = WindowReader(text.part, tokenizer.start, context, stride, False)
    model_name = f"transformers model {request.folder.resolve().name}, weights {digest}"
    protocol = Protocol.of_windows(reading, text.split, tokenizer, "float32", model_name, split_sha256=text.split_sha256)
    result = Scorer(reading, tokenizer, protocol, device, request.batch_size, group_names=text.groups).score(model.to(device))
    folder = runs / f"hf-{request.folder.resolve().name}-{digest}"
    name = re.sub(r"[^\w.-]+", "-", text.split)
    uses_test = request.split == "test" and request.corpus is not None
    return save_score(RunDirectory(folder), f"{name}-context{context}-stride{stride}", result, uses_test=uses_test)


def _choose_window(request: HfRequest, longest: int) -> tuple[int, int]:
    """Choose the tokens of a window, and how many of them are new. Raises UserError for more than there can be."""
    context = min(request.context or CONTEXT, longest)
    if request.context is not None and request.context > longest:
        raise UserError(f"--context: {request.context} tokens exceed the model's {longest} positions; lower it")
    refuse_gaps("stride", request.stride, context)
    return context, request.stride or context


def weights_digest(folder: Path) -> str:
    """Compute the first digits of the sha256 of all files of weights."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")):
        with name_file(path), path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:8]


def _read_file(path: Path, tokenizer: TransformersTokenizer) -> ScoredText:
    """Read a file as it is, unpacked where it is packed, in one piece."""
    raw = read_file(path).data
    return ScoredText(encode_documents(tokenizer, [raw], b""), f"text {path.name}", "", ())


def _read_corpus(recipe: str, split: str, data_dir: Path | None, tokenizer: TransformersTokenizer) -> ScoredText:
    """Read a part of a recipe's corpus under the recipe's split: the same bytes as a run of that recipe is scored on."""
    config = ExperimentConfig.load(recipe, data_dir=data_dir)
    if split not in PARTS:
        raise UserError(f"split: no part '{split}'; {suggest(split, PARTS)}")
    name: PartName = split
    corpus = config.corpus.load(data_dir)
    divided = config.split.apply(corpus.documents, corpus.separator)
    names = tuple(dict.fromkeys(corpus.groups or ()))
    groups = None if corpus.groups is None else [names.index(corpus.groups[index]) for index in divided.indices[name]]
    return ScoredText(encode_documents(tokenizer, divided.documents[name], corpus.separator, groups), split, divided.sha256(), names)
