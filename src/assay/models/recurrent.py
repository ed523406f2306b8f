"""Recurrent models: embedding, a stack of recurrent cells, readout.

The shape of Merity et al. (AWD-LSTM, arXiv 1708.02182). There are no blocks: no norm, no residual, no feed-forward. Each cell has its own
width; the last one is as wide as the embedding, which a tied head needs. With `skip` the head reads the sum of all cells' outputs, as in
Melis et al. (arXiv 1909.01792 and their code), through a matrix where a cell is not as wide as the embedding.

Dropout has two forms at each of three places: of elements, or locked, with one mask for all positions of a row. AWD-LSTM calls the locked
ones dropouti, dropouth and dropout, and word dropout dropoute. None applies to the state of a cell.
"""

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from assay.core.config import Config, SerializeAsAny, setting
from assay.core.types import Internals, Output, State
from assay.errors import ConfigError
from assay.models.base import Model, ModelConfig
from assay.models.readout import HeadConfig, Readout
from assay.nn.cell import CellConfig, LstmConfig
from assay.nn.dropout import Dropout, LockedDropout, word_dropout
from assay.nn.init import FanInConfig, InitConfig
from assay.nn.linear import Linear


class LockedDropoutConfig(Config):
    """Dropout with one mask for all positions of a row."""

    embedding: float = setting(0.0, "of the embedded tokens", alternative=0.5, affects="training", ge=0, lt=1)
    hidden: float = setting(0.0, "between cells", alternative=0.5, affects="training", ge=0, lt=1)
    output: float = setting(0.0, "of what the head reads", alternative=0.5, affects="training", ge=0, lt=1)


class RecurrentConfig(ModelConfig):
    """A stack of cells."""

    kind: Literal["recurrent"] = "recurrent"
    width: int = setting(256, "size of the embedding and of the last cell D", alternative=24, affects="cost", ge=1)
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = setting((512,), "sizes of the earlier cells", alternative=(16, 40), affects="cost")
    cell: SerializeAsAny[CellConfig] = setting(LstmConfig(), "what each cell computes", alternative={"kind": "lstm", "forget_bias": 0.5})
    skip: bool = setting(False, "the head reads the sum of all cells' outputs", alternative=True)
    head: HeadConfig = setting(HeadConfig(), "how hidden states become logits", alternative={"bias": True}, affects="cost")
    init: SerializeAsAny[InitConfig] = setting(FanInConfig(embedding_std=0.1), "how the weights begin", alternative="normal")
    word_dropout: float = setting(0.0, "dropout of words, all their occurrences in a call", alternative=0.5, affects="training", ge=0, lt=1)
    embedding_dropout: float = setting(0.0, "dropout of the embedded tokens", alternative=0.5, affects="training", ge=0, lt=1)
    hidden_dropout: float | None = setting(None, "dropout between cells (absent: dropout)", alternative=0.5, affects="training", ge=0, lt=1)
    dropout: float = setting(0.0, "dropout of what the head reads", alternative=0.5, affects="training", ge=0, lt=1)
    locked: LockedDropoutConfig = setting(LockedDropoutConfig(), "dropout with one mask for a whole row", alternative={"output": 0.5})

    tiny: ClassVar[dict[str, Any]] = {"hidden": (48,)}

    def model_post_init(self, context: Any) -> None:
        if self.init.outputs != type(self.init).model_fields["outputs"].default:
            raise ConfigError("init.outputs", "is not used by a recurrent model, which has no residual stream; leave it out")
        between = {"skip": self.skip, "hidden_dropout": self.hidden_dropout is not None, "locked.hidden": self.locked.hidden > 0}
        for path, is_set in between.items():
            if is_set and not self.hidden:
                raise ConfigError(path, "concerns cells before the last, and hidden = [] leaves none; leave it out or add cells")

    def build_module(self, vocabulary: int) -> Model:
        return Recurrent(self, vocabulary)


class RecurrentState(NamedTuple):
    """What the cells carry from one piece of a text to the next."""

    stream: int  # tokens read so far
    cells: tuple[State, ...]


class Recurrent(Model):
    """x_0 = e(tokens); x_l = cell_l(x_{l-1}); logits = readout(x_L), or with skips of x_1 + .. + x_L."""

    def __init__(self, config: RecurrentConfig, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary, self.width = vocabulary, config.width
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.init, self.sizes = config.init, (*config.hidden, config.width)
        sizes = (config.width, *self.sizes)
        self.cells = nn.ModuleList(config.cell.build(before, size) for before, size in pairwise(sizes))
        self.skips = nn.ModuleList(_skip(size, config.width) for size in config.hidden) if config.skip else None
        self.word_dropout, locked = config.word_dropout, config.locked
        between = config.dropout if config.hidden_dropout is None else config.hidden_dropout
        self.embedding_dropout = nn.Sequential(Dropout(config.embedding_dropout), LockedDropout(locked.embedding))
        self.hidden_dropout = nn.Sequential(Dropout(between), LockedDropout(locked.hidden))
        self.dropout = nn.Sequential(Dropout(config.dropout), LockedDropout(locked.output))
        self.readout = Readout(config.head, nn.Identity(), self.embedding)

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return self.sizes

    def init_weights(self, part: nn.Module, generator: torch.Generator) -> None:
        self.init.init_weights(part, len(self.sizes), self.width, generator)

    @property
    def masks_documents(self) -> bool:
        return False

    @property
    def bounded_state(self) -> bool:
        return True

    def init_state(self, batch: int) -> RecurrentState:
        return RecurrentState(0, tuple(cell.init_state(batch, self.embedding.weight) for cell in self.cells))  # type: ignore[operator]

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        if documents is not None:
            raise ConfigError("model", "is recurrent and cannot isolate documents inside a row; use batches=documents")
        x = self.embed(tokens)
        outputs, kept = [], []
        for index, cell in enumerate(self.cells):
            x, after = cell(self.hidden_dropout(x) if index else x, None if state is None else state.cells[index])
            outputs.append(x)
            kept.append(after)
        if self.skips is not None:
            x = x + sum(skip(before) for skip, before in zip(self.skips, outputs[:-1], strict=True))
        internals = Internals(tuple(outputs)) if torch.is_grad_enabled() else None
        new = None if state is None else RecurrentState(state.stream + tokens.shape[1], tuple(kept))
        return Output(self.dropout(x), self.readout, new, {}, {}, internals)

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens [B, T] -> [B, T, D], with dropout of words and of the embedding."""
        x = self.embedding(tokens)
        if self.training and self.word_dropout > 0:
            x = word_dropout(x, tokens, self.vocabulary, self.word_dropout)
        embedded: Tensor = self.embedding_dropout(x)
        return embedded


def _skip(size: int, width: int) -> nn.Module:
    """Build the map from a cell's output to the width of the embedding."""
    return nn.Identity() if size == width else Linear(size, width, bias=False)
