"""Parts made by hand, and models whose score is known."""

from collections.abc import Sequence

import numpy as np
import torch

from assay.evaluation.protocol import Protocol
from assay.evaluation.readers import WindowReader
from assay.evaluation.score import Scorer
from assay.models.base import Model
from assay.models.decoder import DecoderConfig
from assay.text.piece_tokenizers import ByteTokenizer
from assay.text.token_files import TokenizedPart

TOKENIZER = ByteTokenizer()
END = TOKENIZER.end_id
LINES = ["In the beginning", "was the wörd — 言葉 —", "", "and", "the word was with", "naïve façade 🙂", "the end"]


def part_of(documents: Sequence[str]) -> TokenizedPart:
    """Byte tokens of some documents, each followed by the end token."""
    pieces = [document.encode() for document in documents]
    lengths = [len(piece) + 1 for piece in pieces]
    tokens = np.concatenate([np.array([*piece, END], np.uint16) for piece in pieces])
    return TokenizedPart(tokens, np.cumsum([0, *lengths]), np.array(lengths), None, "0" * 64)


def decoder(seed: int = 0, **settings: object) -> Model:
    """A small decoder in float64 whose logits are far from uniform."""
    tree = {"kind": "decoder", "width": 16, "depth": 2, "block": {"mixer": {"heads": 2}}, "position": "rope", **settings}
    model = DecoderConfig.make(tree).build(TOKENIZER.vocab_size, torch.Generator().manual_seed(seed)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def unigram(logits: torch.Tensor) -> Model:
    """A model that says the same whatever it reads."""
    model = decoder(head={"tied": False, "bias": True})
    with torch.no_grad():
        model.readout.weight.zero_()
        model.readout.bias.copy_(logits)
    return model


def scorer(part: TokenizedPart, context: int, stride: int | None = None, *, mask: bool = False, **rest: object) -> Scorer:
    """The scorer of a part, with a protocol that says no more than it must."""
    stride = stride or context
    policy = "disjoint" if stride == context else "strided"
    protocol = Protocol("validation", part.sha256, "", "", policy, context, stride, 0, mask, "float64", None, "")
    return Scorer(WindowReader(part, END, context, stride, mask), TOKENIZER, protocol, torch.device("cpu"), **rest)
