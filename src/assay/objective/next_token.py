"""The next-token loss: -ln p(x_t | x_<t), in nats per token."""

from typing import Literal

from assay.core.types import Batch, Output, Progress, Term
from assay.models.base import Model
from assay.models.readout import Readout
from assay.objective.base import Objective, ObjectiveConfig


class NextTokenConfig(ObjectiveConfig):
    """Cross-entropy of the next token, each target weighted once."""

    kind: Literal["next_token"] = "next_token"

    def build(self, model: Model) -> Objective:
        return NextToken()


class NextToken(Objective):
    """loss = sum_t w_t nll_t / sum_t w_t."""

    def forward(self, output: Output, batch: Batch, at: Progress) -> dict[str, Term]:
        first = output.predictions[0]
        assert isinstance(first.readout, Readout)
        mean, _ = first.readout.nll(first.hidden, batch.tokens[:, 1:], batch.weight)
        return {"loss": Term(1.0, mean)}
