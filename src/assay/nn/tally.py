"""What changes after a step by what was counted in it, not by a gradient: the bias with which a router balances its experts."""

from collections.abc import Mapping

from torch import Tensor, nn

from assay.core.types import Mean


class Tallying(nn.Module):
    """A part that adds to the buffer `tally` in every forward pass in training.

    The training loop clears it before a forward pass and sums over all micro-batches and processes of a step. The buffer is whole
    numbers, so that the sum is exact in any order, and is not saved: between steps there is nothing in it.
    """

    tally: Tensor

    def after_step(self, tally: Tensor) -> Mapping[str, Mean]:
        """Change by the sum of a whole step, after the optimiser did; the statistics on it. Called without gradients."""
        raise TypeError(f"{type(self).__name__} does not define after_step")
