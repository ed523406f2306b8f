"""Texts after a prompt: the law of what follows, wherever the prompt ends, and how texts are shown."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from assay.core.types import Output, State
from assay.errors import NonFiniteLoss, UserError
from assay.generation.decode import Generation, Sampling
from assay.generation.texts import GeneratedText, TextGenerator
from assay.models.base import Model, ModelConfig
from assay.text.bpe import BpeConfig
from assay.text.cover import find_cover
from assay.text.piece_tokenizers import CharConfig, WordConfig
from assay.text.tokenizer import Tokenizer
from support.texts import TOKENIZER

TEXT = [b"ab abb abb  ab\n\nba bab  abb b\na " * 4, "é é è".encode() * 3]
TOKENIZERS: Mapping[str, Tokenizer] = {
    "bpe": BpeConfig(vocabulary=270).train(TEXT),
    "word": WordConfig(vocabulary=270).train(TEXT),
    "char": CharConfig().train(TEXT),
    "byte": TOKENIZER,
}
UNITS = [b"a", b"b", b" ", b"\n", b"\xc3", b"\xa9"]
KINDS: Mapping[str, Any] = {
    "rope": {"kind": "decoder", "width": 8, "depth": 2, "block": {"mixer": {"heads": 2}}, "position": "rope"},
    "windows": {"kind": "decoder", "width": 8, "depth": 2, "block": {"mixer": {"kind": "local", "heads": 2, "window": 3}}},
    "lstm": {"kind": "recurrent", "width": 8},
}


def build(tokenizer: Tokenizer, tree: Mapping[str, Any] = KINDS["rope"]) -> Model:
    model = ModelConfig.family.make(dict(tree)).build(tokenizer.vocab_size, torch.Generator().manual_seed(0)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), alpha=0.5)
    return model


def probability(model: Model, ids: Sequence[int], end: int) -> float:
    """What the model gives to a text that begins with these tokens, read whole."""
    with torch.no_grad():
        logits = model(torch.tensor([[end, *ids]])).logits[0, :-1].log_softmax(-1)
    return float(logits[torch.arange(len(ids)), torch.tensor(ids)].sum().exp())


def enumerate_next_bytes(model: Model, tokenizer: Tokenizer, prompt: bytes) -> dict[bytes, float]:
    """The law of the byte after a prompt (none: the end), by the encodings of all texts that begin with it and have few bytes more."""
    beginnings = set()
    for size in range(5):
        for rest in itertools.product(UNITS, repeat=size):
            text = prompt + b"".join(rest)
            ids = [*tokenizer.encode([text])[0].tolist(), tokenizer.end_id]
            reached = list(itertools.accumulate(len(tokenizer.token_bytes[token]) for token in ids))
            beginnings.add(tuple(ids[: next(place for place, length in enumerate(reached) if length > len(prompt)) + 1]))
    law: dict[bytes, float] = defaultdict(float)
    for ids in beginnings:
        spelled = tokenizer.decode(ids)[len(prompt) :]
        if ids[-1] == tokenizer.end_id or not spelled.strip(b"".join(UNITS)):
            law[b"" if ids[-1] == tokenizer.end_id else spelled[:1]] += probability(model, ids, tokenizer.end_id)
    return law


def next_bytes(model: Model, tokenizer: Tokenizer, prompt: bytes) -> dict[bytes, float]:
    """The same law as texts are drawn by it, of members of the same bytes."""
    cover = find_cover(tokenizer, prompt)
    if cover.branches[0].following is None:
        members = [((*cover.settled, token), token) for token in range(tokenizer.vocab_size)]
        weights = [probability(model, ids, tokenizer.end_id) for ids, _ in members]
    else:
        drawn = Generation(model, cover, 1, Sampling(), 0, end=tokenizer.end_id)
        members = [((*cover.settled, *cover.branches[place].ids, token), token) for place, token in drawn.members]
        weights = drawn.log_probabilities.exp().tolist()
    law: dict[bytes, float] = defaultdict(float)
    for (ids, last), weight in zip(members, weights, strict=True):
        spelled = tokenizer.decode(ids)[len(prompt) :]
        if last == tokenizer.end_id or not spelled.strip(b"".join(UNITS)):
            law[b"" if last == tokenizer.end_id else spelled[:1]] += weight
    return law


@pytest.mark.parametrize("prompt", [b"a", b"ab ", b"ab  ", b"ba\n", b"abb", b"a\xc3"], ids=repr)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_next_byte_has_the_law_of_all_texts_that_begin_with_the_prompt(kind: str, prompt: bytes) -> None:
    tokenizer = TOKENIZERS[kind]
    model = build(tokenizer)
    expected, found = enumerate_next_bytes(model, tokenizer, prompt), next_bytes(model, tokenizer, prompt)
    assert found.keys() == expected.keys()
    for byte, share in expected.items():
        assert found[byte] / sum(found.values()) == pytest.approx(share / sum(expected.values()), abs=1e-9)


def test_texts_begin_with_members_as_often_as_their_law_says_and_go_on_as_if_read_whole() -> None:
    tokenizer = TOKENIZERS["bpe"]
    model = build(tokenizer)
    cover = find_cover(tokenizer, b"ab ")
    texts = Generation(model, cover, 3000, Sampling(), 5, end=tokenizer.end_id)
    law = (texts.log_probabilities - texts.log_probabilities.logsumexp(0)).exp()
    first = next(texts.steps(1)).tolist()
    drawn = [(branch.ids, token) for branch, token in zip(texts.branches, first, strict=True)]
    members = [(cover.branches[place].ids, token) for place, token in texts.members]
    shares = torch.tensor([drawn.count(member) / 3000 for member in members], dtype=torch.float64)
    assert torch.allclose(shares, law, atol=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_together_are_the_texts_alone_and_those_that_are_read_whole(kind: str) -> None:
    tokenizer = TOKENIZERS["bpe"]
    model, cover = build(tokenizer, KINDS[kind]), find_cover(tokenizer, b"a ")
    texts = Generation(model, cover, 20, Sampling(), 1, end=tokenizer.end_id)
    rows = torch.stack(list(texts.steps(8)), dim=1).tolist()
    assert len({branch.ids for branch in texts.branches}) > 1, "the seed shows texts of several branches"
    one = Generation(model, cover, 1, Sampling(), 1, end=tokenizer.end_id)
    alone = torch.stack(list(one.steps(8)), dim=1).tolist()[0]
    assert rows[0][: len(alone)] == alone
    greedy = Generation(model, cover, 2, Sampling(0.0), 1, end=tokenizer.end_id)
    ids = [tokenizer.end_id, *cover.settled, *greedy.branches[0].ids]
    for step in greedy.steps(8):
        if len(ids) > len(cover.settled) + len(greedy.branches[0].ids) + 1:
            assert int(step[0]) == int(model(torch.tensor([ids])).logits[0, -1].argmax())
        ids.append(int(step[0]))
        if ids[-1] == tokenizer.end_id:
            break


class Writer(Model):
    """A model that writes these tokens and nothing else, and can be given positions."""

    def __init__(self, written: Sequence[int], vocabulary: int, positions: int | None = None) -> None:
        super().__init__()
        self.written, self.vocabulary, self.positions = [*written], vocabulary, positions
        self.scale = torch.nn.Parameter(torch.ones(()))

    @property
    def max_length(self) -> int | None:
        return self.positions

    def init_state(self, batch: int) -> State:
        return 0

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        after = state + tokens.shape[1]
        likely = torch.tensor([self.written[place % len(self.written)] for place in range(state, after)])
        logits = torch.full((1, tokens.shape[1], self.vocabulary), -1e9).scatter(-1, likely.view(1, -1, 1), 0.0)
        return Output(logits.expand(len(tokens), -1, -1) * self.scale, lambda hidden: hidden, after, {}, {})


def write(data: bytes, *, positions: int | None = None, trained: int | None = None) -> TextGenerator:
    return TextGenerator(Writer([*data, TOKENIZER.end_id], 257, positions), TOKENIZER, Sampling(), trained, "run r, checkpoint best")


def pieces(stream: Iterator[str]) -> list[str]:
    return list(stream)


def test_pieces_wait_until_a_character_is_complete() -> None:
    text = "naïve — 言葉 🙂."
    stream = write(text.encode()).stream("", 0, 100)
    assert pieces(stream) == list(text)
    assert stream.result == GeneratedText(text, True, False, False) == write(text.encode()).generate("", 1, 0, 100)[0]


def test_what_is_no_character_is_shown_and_one_that_the_prompt_begins_is_completed() -> None:
    assert write(b"a\xff\xe8\xa8").generate("", 1, 0, 100)[0].text == "a\ufffd\ufffd"
    assert write("é!".encode()).generate(b"\xc3", 1, 0, 100)[0].text == "é!"
    assert "".join(write("é!".encode()).stream(b"\xc3", 0, 100)) == "é!"


def test_a_text_tells_how_it_ended_and_whether_training_went_so_far() -> None:
    def facts(generator: TextGenerator, tokens: int) -> tuple[bool, bool, bool]:
        (one,) = generator.generate("ab", 1, 0, tokens)
        return one.ended, one.cut_at_positions, one.beyond_training

    assert facts(write(b"abcd"), 10) == (True, False, False)
    assert facts(write(b"abcd"), 2) == (False, False, False)
    assert facts(write(b"abcd", trained=5), 10) == (True, False, False), "the end token is the fifth"
    assert facts(write(b"abcd", trained=4), 10) == (True, False, True)
    assert facts(write(b"abcd", positions=3), 10) == (False, True, False)
    assert facts(write(b"abcd", positions=5), 10) == (True, False, False)


@pytest.mark.parametrize("written", ["a<end>", "<start>", "<end", r"<\end>", r"\<end>", "a\\", "<", "x<end>\n<start>y"])
def test_a_mark_that_the_model_writes_is_no_mark(written: str) -> None:
    def show(ended: bool) -> str:
        return GeneratedText(written, ended, False, False).with_marks()

    assert show(True) == show(False) + "<end>"
    assert show(False).startswith("<start>")
    inside = show(False).removeprefix("<start>")
    assert "<end>" not in inside
    assert "<start>" not in inside


def test_broken_weights_are_named() -> None:
    generator = write(b"abc")
    generator.model.scale.data.fill_(float("nan"))  # type: ignore[operator, union-attr]
    for prompt in ("", "ab"):
        with pytest.raises(NonFiniteLoss, match="run r, checkpoint best: the model's logits are NaN or infinite"):
            generator.generate(prompt, 2, 0, 5)
        with pytest.raises(NonFiniteLoss, match="name another checkpoint"):
            pieces(generator.stream(prompt, 0, 5))


def test_half_a_character_of_utf_16_is_no_prompt() -> None:
    with pytest.raises(UserError, match="is half a character, which no text contains"):
        write(b"a").generate("a\ud800", 1, 0, 5)


def test_a_prompt_longer_than_the_positions_is_refused() -> None:
    with pytest.raises(UserError, match="the prompt has 4 tokens and the model reads at most 2; shorten it"):
        write(b"a", positions=3).generate("abab", 1, 0, 5)
