"""Generation: through the state as without it, together as alone, ended by the end token."""

from collections.abc import Iterator, Sequence

import pytest
import torch

from assay.core.seeds import torch_stream
from assay.errors import UserError
from assay.generation.decode import pieces, stream, texts
from assay.generation.sampling import Sampling
from assay.models.base import Model
from support.texts import END, TOKENIZER, decoder

PROMPT = [*b"In the"]


def columns(steps: Iterator[torch.Tensor]) -> list[list[int]]:
    return torch.stack(list(steps), dim=1).tolist()


def uncached(model: Model, prompt: Sequence[int], row: int, limit: int, sampling: Sampling, seed: int) -> list[int]:
    """One text, the whole of it read again for each token."""
    generator, tokens = torch_stream(seed, "sampling", row), [END, *prompt]
    with torch.no_grad():
        while len(tokens) < limit + len(prompt) + 1 and END not in tokens[1:]:
            tokens.append(int(sampling.draw(model(torch.tensor([tokens])).logits[:, -1], [generator])))
    return tokens[len(prompt) + 1 :]


@pytest.fixture(params=["rope", "learned", "none"])
def model(request: pytest.FixtureRequest) -> Model:
    return decoder(position={"kind": "learned", "length": 40} if request.param == "learned" else request.param)


@pytest.mark.parametrize("sampling", [Sampling(0.0), Sampling(), Sampling(0.7, 20, 0.9, 0.01)], ids=["greedy", "plain", "filtered"])
def test_the_state_changes_nothing_and_neither_do_the_texts_beside(model: Model, sampling: Sampling) -> None:
    together = columns(stream(model, PROMPT, 4, 25, sampling, seed=3, end=END))
    for row, text in enumerate(together):
        alone = uncached(model, PROMPT, row, 25, sampling, seed=3)
        assert text[: len(alone)] == alone
        assert set(text[len(alone) :]) <= {END}
    assert (
        columns(stream(model, PROMPT, 1, 25, sampling, seed=3, end=END))[0]
        == together[0][: len(uncached(model, PROMPT, 0, 25, sampling, 3))]
    )


def test_the_seed_decides() -> None:
    model = decoder()
    draws = [columns(stream(model, [], 3, 20, Sampling(), seed, end=END)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0][0] != draws[0][1]


def test_sampling_disturbs_no_other_random_stream() -> None:
    model, before = decoder(), torch.get_rng_state()
    list(stream(model, [], 2, 5, Sampling(), 0, end=END))
    assert torch.equal(before, torch.get_rng_state())


def eager(times: int, **settings: object) -> Model:
    """A model that writes one letter more often than not, and the end token otherwise."""
    model = decoder(head={"tied": False, "bias": True}, **settings)
    with torch.no_grad():
        model.readout.weight.zero_()
        model.readout.bias.fill_(-1e9)
        model.readout.bias[ord("a")], model.readout.bias[END] = times, 0.0
    return model


def test_a_text_stops_at_the_end_token_and_all_stop_when_the_last_has() -> None:
    rows = columns(stream(eager(1), [], 20, 500, Sampling(), 0, end=END))
    assert len(rows[0]) < 500
    assert max(row.index(END) for row in rows) == len(rows[0]) - 1
    for row in rows:
        assert set(row[: row.index(END)]) <= {ord("a")}
        assert set(row[row.index(END) :]) == {END}
    written = [text for text, _ in texts(stream(eager(1), [], 20, 500, Sampling(), 0, end=END), TOKENIZER.decode, END)]
    assert written == ["a" * row.index(END) for row in rows]


def test_a_text_without_an_end_stops_at_the_limit() -> None:
    assert len(list(stream(eager(1_000_000), [], 2, 17, Sampling(), 0, end=END))) == 17


def test_a_text_is_never_longer_than_the_positions() -> None:
    for prompt in ([], PROMPT, [*PROMPT] * 2):
        model = eager(1_000_000, position={"kind": "learned", "length": 13})
        assert len(list(stream(model, prompt, 1, 100, Sampling(), 0, end=END))) == 13 - len(prompt)


def test_a_prompt_longer_than_the_positions_is_the_users_mistake() -> None:
    model = decoder(position={"kind": "learned", "length": 6})
    with pytest.raises(UserError, match="the prompt has 6 tokens and the model reads at most 5; shorten it"):
        list(stream(model, PROMPT, 1, 10, Sampling(), 0, end=END))


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_as_before_also_when_one_stops_listening(training: bool) -> None:
    model = decoder(embedding_dropout=0.5).train(training)
    steps = stream(model, PROMPT, 2, 30, Sampling(), 0, end=END)
    next(steps)
    steps.close()
    assert model.training is training


TEXT = "naïve — 言葉 🙂."


def spelt(data: bytes) -> Iterator[torch.Tensor]:
    yield from (torch.tensor([byte, 0]) for byte in data)


def test_pieces_wait_until_a_character_is_complete() -> None:
    assert list(pieces(spelt(TEXT.encode()), TOKENIZER.decode, END)) == list(TEXT)


def test_pieces_end_at_the_end_token_and_show_what_is_no_character() -> None:
    data = iter([*spelt(b"a\xff\xe8\xa8"), torch.tensor([END, 0]), *spelt(b"never")])
    assert "".join(pieces(data, TOKENIZER.decode, END)) == "a\ufffd\ufffd"
    assert "never" not in texts(iter([*spelt(b"ab"), torch.tensor([END, 0]), *spelt(b"never")]), TOKENIZER.decode, END)[0][0]
