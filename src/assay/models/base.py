"""The interface of every model: tokens and a state in, predictions and a new state out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from assay.core.config import Config
from assay.core.trees import Tree, flatten
from assay.core.types import Output, State
from assay.errors import ConfigError

LARGEST_SIZE = 2**16  # of a setting, up to which a model that cannot be built is no matter of the setting


class Model(nn.Module):
    """output = model(tokens, state, documents), tokens [B, T].

    Split invariance: feeding a text in any pieces, each with the state of the one before, gives the logits of feeding it whole; training,
    cached generation and exact evaluation are this one function. `documents` [B, T] numbers the documents of a row where they are to be
    isolated from each other; within a stream a number never returns.
    """

    vocabulary: int
    width: int

    @property
    def max_length(self) -> int | None:
        """The longest text that the model can read; None: any."""
        return None

    @property
    def hidden_width(self) -> int:
        """The size of the hidden states that the readout reads."""
        return self.width

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """The sizes of the hidden states after each layer that an objective may read; empty: it may read none."""
        return ()

    @property
    def masks_documents(self) -> bool:
        """Whether documents inside a row can be isolated from each other."""
        return True

    @property
    def bounded_state(self) -> bool:
        """Whether the state stops growing, so that it can be carried through a text of any length."""
        return False

    @property
    def reach(self) -> int | None:
        """The number of tokens before the last one read that a prediction can depend on, in the same way at any position.

        None: any number of them, or their positions matter.
        """
        return None

    @property
    def aux_loss_weights(self) -> Mapping[str, float]:
        """The losses that layers report, with the weight of each in the total unless the objective sets another."""
        return {}

    def build_extra_block(self) -> nn.Module:
        """Build a block like the last one for an objective, which draws its weights. Raises ConfigError where there is none."""
        raise ConfigError(
            "objective", "adds blocks like the model's last one, and this model is not made of blocks; choose another objective or model"
        )

    def init_weights(self, part: nn.Module, generator: torch.Generator) -> None:
        """Draw the weights of a part, the model itself or what is trained along with it, by the model's rule."""
        raise TypeError(f"{type(self).__name__} does not define init_weights")

    def init_state(self, batch: int) -> State:
        """Return the state before the first token of `batch` streams."""
        raise TypeError(f"{type(self).__name__} does not define init_state")

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        """Read `tokens` after what `state` holds."""
        raise TypeError(f"{type(self).__name__} does not define forward")


@contextmanager
def evaluation_mode(module: nn.Module | None) -> Iterator[None]:
    """Put a module into evaluation mode, and afterwards each of its parts back into the mode it was in."""
    modes = {} if module is None else {part: part.training for part in module.modules()}
    try:
        if module is not None:
            module.eval()
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def _list_sizes(tree: Tree) -> Iterator[tuple[str, int]]:
    """List the whole numbers in a config with their keys."""
    for key, value in flatten(tree):
        yield from ((key, item) for item in (value if isinstance(value, list) else [value]) if isinstance(item, int))


class ModelConfig(Config, family="model", package="assay.models"):
    """The architecture of a model: how its layers are connected."""

    def build(self, vocabulary: int, generator: torch.Generator) -> Model:
        """Build the model and draw its first weights from `generator`. Raises ConfigError for a size that no tensor can have."""
        try:
            model = self.build_module(vocabulary)
            model.init_weights(model, generator)
        except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
            key, size = max(_list_sizes(self.to_dict()), key=lambda entry: entry[1], default=("", 0))
            if size <= LARGEST_SIZE:
                raise
            raise ConfigError(f"model.{key}", f"{size:,} is more than a model here can have; lower it") from error
        return model

    def build_module(self, vocabulary: int) -> Model:
        """Build the model, its weights not yet drawn."""
        raise TypeError(f"{type(self).__name__} does not define build_module")
