"""Write texts after a prompt: bytes in, characters out."""

import codecs
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch

from assay.errors import NonFiniteLoss, UserError, check_range
from assay.generation.decode import NO_TOKEN, Generation, Sampling
from assay.models.base import Model
from assay.text.cover import Cover, find_cover
from assay.text.tokenizer import Tokenizer

START, END = "<start>", "<end>"  # around a text that is shown among others
WRITTEN_MARK = re.compile(r"<(?=\\*(?:start|end)>)")


class GeneratedText(NamedTuple):
    """A text that a model wrote, the prompt included; undecodable bytes are shown as U+FFFD."""

    text: str
    ended: bool  # by the model itself
    cut_at_positions: bool  # because the model has no more positions
    beyond_training: bool  # whether some of its tokens stand further from its beginning than any did in training

    def with_marks(self) -> str:
        """Write it between marks. One that the model wrote itself gets a backslash, `<\\end>`, and one with backslashes one more."""
        return START + WRITTEN_MARK.sub(r"<\\", self.text) + (END if self.ended else "")


class _Start(NamedTuple):
    """A prompt, its cover, and the texts that begin with it."""

    prompt: bytes
    cover: Cover
    generation: Generation

    def new_bytes(self, row: int, tokens: Sequence[int], tokenizer: Tokenizer) -> bytes:
        """Decode what is beyond the prompt of the first tokens of a text."""
        return tokenizer.decode(tokens)[self.cover.unsettled - self.generation.branches[row].covered :]


class TextGenerator:
    """Generates texts after a prompt. Raises UserError for a sampling option out of its range.

    `trained_length` is the most tokens that a text had in training, None where there is no such bound; `name` is whose weights they are.
    """

    def __init__(
        self, model: Model, tokenizer: Tokenizer, sampling: Sampling, trained_length: int | None = None, name: str = "the model"
    ) -> None:
        self.model, self.tokenizer, self.sampling = model, tokenizer, sampling.check()
        self.trained_length, self.name = trained_length, name

    def generate(self, prompt: str | bytes, count: int, seed: int, tokens: int) -> list[GeneratedText]:
        """Generate `count` texts, each the prompt and at most so many tokens that go beyond it.

        The texts that begin with the prompt have the law that `Generation` says, wherever the prompt ends. Raises UserError for a prompt
        that is too long, and NonFiniteLoss for broken weights.
        """
        with self._explain_broken_weights():
            start = self._begin(prompt, count, seed, tokens)
            columns = torch.stack(list(start.generation.steps(tokens)), dim=1).tolist()
        return [self._finish(start, row, drawn) for row, drawn in enumerate(columns)]

    def stream(self, prompt: str | bytes, seed: int, tokens: int) -> "TextStream":
        """Generate the first of these texts, in pieces as they are drawn."""
        return TextStream(self._write_pieces(prompt, seed, tokens))

    def _write_pieces(self, prompt: str | bytes, seed: int, tokens: int) -> Generator[str, None, GeneratedText]:
        """Generate the pieces, and return the whole text."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        with self._explain_broken_weights():
            start = self._begin(prompt, 1, seed, tokens)
            drawn: list[int] = []
            if piece := decoder.decode(start.prompt):
                yield piece
            for step in start.generation.steps(tokens):
                drawn.append(int(step[0]))
                if drawn[-1] != self.tokenizer.end_id:
                    new = self.tokenizer.decode(drawn[-1:])
                    if piece := decoder.decode(start.new_bytes(0, drawn, self.tokenizer) if len(drawn) == 1 else new):
                        yield piece
        if rest := decoder.decode(b"", final=True):
            yield rest
        return self._finish(start, 0, drawn)

    def _begin(self, prompt: str | bytes, count: int, seed: int, tokens: int) -> _Start:
        """Check what is asked, and draw how each text begins."""
        check_range("count", count, 1)
        check_range("tokens", tokens, 1)
        raw = _encode_prompt(prompt)
        cover = find_cover(self.tokenizer, raw)
        return _Start(raw, cover, Generation(self.model, cover, count, self.sampling, seed, end=self.tokenizer.end_id))

    def _finish(self, start: _Start, row: int, drawn: list[int]) -> GeneratedText:
        """Decode the tokens that were drawn for a text, and say how it ended."""
        end = self.tokenizer.end_id
        ended, cut = end in drawn, NO_TOKEN in drawn
        kept = drawn[: drawn.index(end if ended else NO_TOKEN)] if ended or cut else drawn
        length = len(start.cover.settled) + len(start.generation.branches[row].ids) + len(kept) + ended
        text = (start.prompt + start.new_bytes(row, kept, self.tokenizer)).decode("utf-8", errors="replace")
        return GeneratedText(text, ended, cut, self.trained_length is not None and length > self.trained_length)

    @contextmanager
    def _explain_broken_weights(self) -> Iterator[None]:
        try:
            yield
        except NonFiniteLoss as broken:
            raise NonFiniteLoss(f"{self.name}: {broken}; name another checkpoint, or train anew with a lower optimizer.lr") from None


class TextStream(Iterator[str]):
    """The pieces of one text while it is generated; bytes wait until they complete a character. `result` is there after the last one."""

    result: GeneratedText | None = None

    def __init__(self, pieces: Generator[str, None, GeneratedText]) -> None:
        self._pieces = pieces

    def __next__(self) -> str:
        try:
            return next(self._pieces)
        except StopIteration as end:
            self.result = end.value or self.result
            raise


def write_marked_samples(model: Model, tokenizer: Tokenizer, count: int, tokens: int, seed: int) -> list[str]:
    """Generate texts without a prompt, each between its marks."""
    texts = TextGenerator(model, tokenizer, Sampling()).generate(b"", count, seed, tokens)
    return [text.with_marks() for text in texts]


def _encode_prompt(prompt: str | bytes) -> bytes:
    """Encode a prompt. Raises UserError where it is no text."""
    if isinstance(prompt, bytes):
        return prompt
    if not isinstance(prompt, str):
        raise UserError(f"prompt: {prompt!r} is no text; give a str or bytes, or leave it out")
    try:
        return prompt.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise UserError(
            f"prompt: {prompt[error.start]!r} is half a character, which no text contains; give a str or bytes without"
        ) from None
