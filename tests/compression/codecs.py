"""Codecs of small models, with every kind of tokenizer and every way of reading."""

from collections.abc import Mapping
from typing import Any

import torch

from assay.compression.codec import Codec
from assay.compression.header import ModelIdentity
from assay.models.base import Model
from assay.models.recurrent import RecurrentConfig
from assay.text.bpe import BpeConfig
from assay.text.piece_tokenizers import ByteTokenizer, WordConfig
from assay.text.tokenizer import Tokenizer
from support.texts import LINES, decoder

TEXT = "\n".join([*LINES, "and the word was the end"] * 3).encode()
IDENTITY = ModelIdentity(b"m" * 16, b"t" * 16, torch.__version__, "0")
TOKENIZERS: Mapping[str, Tokenizer] = {
    "byte": ByteTokenizer(),
    "bpe": BpeConfig(vocabulary=300).train(TEXT.split(b"\n")),
    "word": WordConfig(vocabulary=300).train(TEXT.split(b"\n")),
}
LEARNED = {"kind": "learned", "length": 9}  # far shorter than the texts


def lstm(vocabulary: int = 257) -> Model:
    """A recurrent model, whose state can be carried."""
    return RecurrentConfig.make({"kind": "recurrent", "width": 8, "hidden": [8]}).build(vocabulary, torch.Generator().manual_seed(0))


def codec(model: Model | None = None, tokenizer: str = "byte", **changes: Any) -> Codec:
    """A codec of a decoder with few positions, unless another model is given."""
    made = decoder(position=LEARNED) if model is None else model
    return Codec(made, TOKENIZERS[tokenizer], **{"identity": IDENTITY, "context": 9, "stride": 9, **changes})
