"""Streams: pieces of a text that are coded side by side, so that a model that reads token by token reads many at a time.

Each stream begins like a text, after an end token. Within it the model reads as the evaluator does: in windows of T tokens of which s are
new (s = T: disjoint), or token by token with its state carried. Streams of windows hold whole windows, so that their windows are the
evaluator's but for the one token before each stream.
"""

import math
from dataclasses import dataclass

MAX_STREAMS = 32  # each costs about 14 bits, and more are hardly faster (docs/compress.md has the measurement)
MIN_STREAM_TOKENS = 2048  # tokens in a stream with carried state, whose cold start costs the bits of some hundred tokens


@dataclass(frozen=True, slots=True)
class StreamLayout:
    """How N tokens are read, which is all that a decoder must know besides the model."""

    tokens: int  # N
    stream_length: int  # tokens in a stream; the last one may have fewer
    context: int  # T: the most tokens a target sees, unless state is carried
    stride: int  # s: new tokens a window; 0: the state is carried from a stream's beginning to its end
    mask: bool  # whether the documents of a stream are isolated from each other

    @property
    def count(self) -> int:
        """The number of streams L."""
        return math.ceil(self.tokens / self.stream_length)

    @property
    def steps(self) -> int:
        """The number of calls of the model."""
        return min(self.stream_length, self.tokens)

    def active_count(self, time: int) -> int:
        """Count the streams that have a token at this place; they are the first ones."""
        return self.count - (time >= self.tokens - (self.count - 1) * self.stream_length)

    def context_start(self, time: int) -> int | None:
        """Return the place in the stream from which the model reads anew to predict the token at `time`; None: it keeps its state."""
        if self.stride == 0:
            return 0 if time == 0 else None
        return max(time + self.stride - self.context, 0) if time % self.stride == 0 else None


def choose_layout(tokens: int, context: int, stride: int, *, mask: bool, max_streams: int = MAX_STREAMS) -> StreamLayout:
    """Choose as many streams as pay for a text of so many tokens, at most `max_streams`."""
    piece = stride or MIN_STREAM_TOKENS  # a stream holds whole pieces, but for the last one and where the state is carried
    wanted = max(1, min(max_streams, tokens // piece if stride == 0 else math.ceil(tokens / piece)))
    length = math.ceil(tokens / wanted)
    return StreamLayout(tokens, max(1, length if stride == 0 else math.ceil(length / stride) * stride), context, stride, mask)
