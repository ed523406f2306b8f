"""All ways in which the encoding of a text that begins with a prompt can begin, so that a prompt may end anywhere.

The tokens of a prompt alone are not those of the texts that begin with it: `the ` is `the` and a space, `the word` is `the` and ` word`.
The cover of a prompt x (Vieira et al., arXiv 2412.03719, section 3; here of the tokenizer's own encodings only) is the set

    C(x) = {shortest beginning of encode(s) that stands for more bytes than x : s begins with x}, s ending counting as one more

No member begins another one, so the model gives the texts that begin with x the probability sum of P(c) over C(x), and a text that
begins with x begins with member c with probability P(c) / that sum.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from assay.text.tokenizer import Tokenizer


class Branch(NamedTuple):
    """Members of a cover that differ in their last token alone."""

    ids: tuple[int, ...]  # before the last token, after the settled ones
    covered: int  # bytes of the prompt after the settled ones that `ids` stand for: the last token begins with the others
    following: tuple[int, ...] | None  # the last tokens in order; None: any


class Cover(NamedTuple):
    """The cover of a prompt: each member is the settled tokens, a branch's ids, and one of its last tokens."""

    settled: tuple[int, ...]
    unsettled: int  # bytes of the prompt after the settled tokens
    branches: tuple[Branch, ...]


def find_cover(tokenizer: Tokenizer, prompt: bytes) -> Cover:
    """Find the cover of a prompt. Anything may follow an empty one, as whoever asks for no beginning gets the model's own."""
    if not prompt:
        return cover_tokens(())
    start = tokenizer.settled_bytes(prompt)
    settled, word = tuple(tokenizer.encode([prompt[:start]])[0].tolist()), prompt[start:]
    following: dict[tuple[int, tuple[int, ...]], set[int]] = defaultdict(set)
    for covered, tokens in _list_last_tokens(tokenizer, word):
        texts = [word[:covered] + tokenizer.token_bytes[token] for token in tokens]
        for token, beginnings in zip(tokens, tokenizer.beginnings(texts), strict=True):
            for ids in beginnings:
                if ids[-1] == token:
                    following[covered, ids[:-1]].add(token)
    following[len(word), tuple(tokenizer.encode([word])[0].tolist())].add(tokenizer.end_id)
    if not word and len(following[0, ()]) == tokenizer.vocab_size:
        return cover_tokens(settled)
    return Cover(settled, len(word), tuple(Branch(ids, covered, tuple(sorted(last))) for (covered, ids), last in sorted(following.items())))


def cover_tokens(ids: Sequence[int]) -> Cover:
    """Make the cover of tokens that stay as they are, whatever follows them."""
    return Cover(tuple(ids), 0, (Branch((), 0, None),))


def _list_last_tokens(tokenizer: Tokenizer, word: bytes) -> Iterator[tuple[int, list[int]]]:
    """List by the bytes of `word` before them the tokens that can stand at its end and go on beyond it."""
    spellings = sorted((spelling, token) for token, spelling in enumerate(tokenizer.token_bytes[: tokenizer.end_id]))
    longest = max(len(spelling) for spelling, _ in spellings)
    for covered in range(max(0, len(word) - longest + 1), len(word) + 1):
        rest = word[covered:]
        nearby = islice(spellings, bisect_left(spellings, (rest, -1)), None)
        tokens = [token for spelling, token in takewhile(lambda item, rest=rest: item[0].startswith(rest), nearby) if spelling != rest]  # type: ignore[misc]
        if tokens:
            yield covered, tokens
