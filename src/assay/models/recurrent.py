"""The recurrent trunk: embedding, cells of widths of their own one upon the other, readout.

The shape of Merity et al. (arXiv 1708.02182), without its dropouts. There are no blocks: no norm, no residual, no feed-forward. The
last cell is as wide as the embedding, which a tied head needs.
"""

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from assay.core.config import SerializeAsAny, setting
from assay.core.types import Output, Prediction, State
from assay.errors import ConfigError
from assay.models.base import Model, ModelConfig
from assay.models.readout import HeadConfig, Readout
from assay.nn.cell.base import CellConfig
from assay.nn.cell.lstm import LstmConfig
from assay.nn.dropout import Dropout
from assay.nn.init import FanInConfig, InitConfig


class RecurrentConfig(ModelConfig):
    """A stack of cells."""

    kind: Literal["recurrent"] = "recurrent"
    width: int = setting(256, "size of the embedding and of the last cell D", other=24, bites="cost", ge=1)
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = setting((512,), "sizes of the cells before the last", other=(16, 40), bites="cost")
    cell: SerializeAsAny[CellConfig] = setting(LstmConfig(), "what each cell computes", other={"kind": "lstm", "forget_bias": 0.5})
    head: HeadConfig = setting(HeadConfig(), "how hidden states become logits", other={"bias": True}, bites="cost")
    init: SerializeAsAny[InitConfig] = setting(FanInConfig(embedding_std=0.1), "how the weights begin", other="normal")
    embedding_dropout: float = setting(0.0, "dropout of the embedded tokens", other=0.5, bites="training", ge=0, lt=1)
    dropout: float = setting(0.0, "dropout of the output of each cell", other=0.5, bites="training", ge=0, lt=1)

    tiny: ClassVar[dict[str, Any]] = {"hidden": (48,)}

    def model_post_init(self, context: Any) -> None:
        if self.init.outputs != type(self.init).model_fields["outputs"].default:
            raise ConfigError("init.outputs", "is not used by a recurrent model, which has no residual stream; leave it out")

    def build(self, vocabulary: int, generator: torch.Generator) -> Model:
        model = Recurrent(self, vocabulary)
        self.init.fill(model, len(self.hidden) + 1, generator)
        return model


class RecurrentState(NamedTuple):
    """What the cells carry from one piece of a text to the next."""

    stream: int  # tokens read so far
    cells: tuple[State, ...]


class Recurrent(Model):
    """x_0 = e(tokens); x_l = cell_l(x_{l-1}); logits = readout(x_L)."""

    def __init__(self, config: RecurrentConfig, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary, self.width = vocabulary, config.width
        self.embedding = nn.Embedding(vocabulary, config.width)
        sizes = (config.width, *config.hidden, config.width)
        self.cells = nn.ModuleList(config.cell.build(before, size) for before, size in pairwise(sizes))
        self.embedding_dropout, self.dropout = Dropout(config.embedding_dropout), Dropout(config.dropout)
        self.readout = Readout(config.head, nn.Identity(), self.embedding)

    @property
    def masks_documents(self) -> bool:
        return False

    @property
    def bounded(self) -> bool:
        return True

    def init_state(self, batch: int) -> RecurrentState:
        return RecurrentState(0, tuple(cell.init_state(batch, self.embedding.weight) for cell in self.cells))  # type: ignore[operator]

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        if documents is not None:
            raise ConfigError("model", "is recurrent and cannot isolate documents inside a row; use plan=documents")
        x = self.embedding_dropout(self.embedding(tokens))  # [B, T, E]
        kept = []
        for index, cell in enumerate(self.cells):
            x, after = cell(x, None if state is None else state.cells[index])
            x = self.dropout(x)
            kept.append(after)
        new = None if state is None else RecurrentState(state.stream + tokens.shape[1], tuple(kept))
        return Output((Prediction("next", x, self.readout, 1),), new, {}, {})
