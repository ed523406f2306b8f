"""Lanes: a text cut into pieces that are coded side by side, so that a model that reads token by token reads many at a time.

Each lane begins like a text, after an end token. Within a lane the model reads as the evaluator does: in windows of T tokens of which s
are new (s = T: disjoint), or in one stream with its state carried. Lanes of windows hold whole windows, so that their windows are the
evaluator's but for the one token before each lane.
"""

import math
from dataclasses import dataclass

MOST = 32  # lanes: each costs about 14 bits, and more are hardly faster (docs/compress.md has the measurement)
LEAST = 2048  # tokens in a lane with carried state, whose cold start costs the bits of some hundred tokens


@dataclass(frozen=True, slots=True)
class Lanes:
    """How N tokens are read. It is all that a decoder must know besides the model."""

    tokens: int  # N
    lane: int  # tokens in a lane; the last lane may have fewer
    context: int  # T: the most tokens a target sees, unless state is carried
    stride: int  # s: new tokens a window; 0: the state is carried from a lane's beginning to its end
    mask: bool  # whether the documents of a lane are isolated from each other

    @property
    def count(self) -> int:
        """L."""
        return math.ceil(self.tokens / self.lane)

    @property
    def steps(self) -> int:
        """How often the model is asked."""
        return min(self.lane, self.tokens)

    def active(self, time: int) -> int:
        """How many lanes have a token at this place; they are the first ones."""
        return self.count - (time >= self.tokens - (self.count - 1) * self.lane)

    def begin(self, time: int) -> int | None:
        """The place in the lane from which the model reads to predict the token at `time`, having forgotten all; None: it goes on."""
        if self.stride == 0:
            return 0 if time == 0 else None
        return max(time + self.stride - self.context, 0) if time % self.stride == 0 else None


def lanes_for(tokens: int, context: int, stride: int, *, mask: bool, most: int = MOST) -> Lanes:
    """As many lanes as pay for a text of so many tokens, at most `most`."""
    piece = stride or LEAST  # a lane holds whole pieces, but for the last lane and where the state is carried
    wanted = max(1, min(most, tokens // piece if stride == 0 else math.ceil(tokens / piece)))
    lane = math.ceil(tokens / wanted)
    return Lanes(tokens, max(1, lane if stride == 0 else math.ceil(lane / stride) * stride), context, stride, mask)
