"""What a model is: tokens and a state in, predictions and a state out."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from assay.core.config import Config
from assay.core.types import Output, State
from assay.errors import ConfigError


class Model(nn.Module):
    """output = model(tokens, state, documents), tokens [B, T].

    Split invariance: feeding a text in any pieces, each with the state of the one before, gives the logits of feeding it whole; training,
    cached generation and exact evaluation are this one function. `documents` [B, T] numbers the documents of a row where they are to be
    isolated from each other; within a stream a number never returns.
    """

    vocabulary: int
    width: int

    @property
    def length(self) -> int | None:
        """The longest text the model can read; None: any."""
        return None

    @property
    def hidden_width(self) -> int:
        """The size of what the readout reads."""
        return self.width

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """The sizes of the hidden states after each layer, which the model lets an objective look into; empty: it does not."""
        return ()

    @property
    def masks_documents(self) -> bool:
        """Whether documents inside a row can be isolated from each other."""
        return True

    @property
    def bounded(self) -> bool:
        """Whether the state stops growing, so that it can be carried through a text of any length."""
        return False

    @property
    def reach(self) -> int | None:
        """How many tokens before its last one a prediction can depend on, in the same way wherever they stand in a text.

        None: any number of them, or it matters where they stand.
        """
        return None

    @property
    def reports(self) -> Mapping[str, float]:
        """The losses that layers report, with the weight at which each enters the total unless the objective says otherwise."""
        return {}

    def another_layer(self) -> nn.Module:
        """A block like the last one, for an objective, with weights yet to be drawn by `fill`. Raises ConfigError where there is none."""
        raise ConfigError(
            "objective", "adds blocks like the model's last one, and this model is not made of blocks; choose another of either"
        )

    def fill(self, part: nn.Module, generator: torch.Generator) -> None:
        """Draw the weights of a part that is trained along with the model as the model's own are drawn."""
        raise TypeError(f"{type(self).__name__} does not define fill")

    def init_state(self, batch: int) -> State:
        """The state before the first token of `batch` streams."""
        raise TypeError(f"{type(self).__name__} does not define init_state")

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        """Read `tokens` after what `state` holds."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class ModelConfig(Config, family="model", package="assay.models"):
    """The trunk of a model: how its layers are connected."""

    def build(self, vocabulary: int, generator: torch.Generator) -> Model:
        """The module with its weights as they begin, drawn from `generator`."""
        raise TypeError(f"{type(self).__name__} does not define build")
