"""Generation: through the state as without it, together as alone, ended by the end token."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from assay.core.seeds import torch_generator
from assay.errors import NonFiniteLoss, UserError
from assay.generation.decode import NO_TOKEN, Sampling, generate
from assay.models.base import Model
from support.texts import END, decoder

PROMPT = [*b"In the"]


def columns(steps: Iterator[torch.Tensor]) -> list[list[int]]:
    return torch.stack(list(steps), dim=1).tolist()


def uncached(model: Model, prompt: Sequence[int], row: int, limit: int, sampling: Sampling, seed: int) -> list[int]:
    """One text, the whole of it read again for each token."""
    generator, tokens = torch_generator(seed, "sampling", row), [END, *prompt]
    with torch.no_grad():
        while len(tokens) < limit + len(prompt) + 1 and END not in tokens[1:]:
            tokens.append(int(sampling.sample(model(torch.tensor([tokens])).logits[:, -1], [generator])))
    return tokens[len(prompt) + 1 :]


@pytest.fixture(params=["rope", "learned", "none"])
def model(request: pytest.FixtureRequest) -> Model:
    return decoder(position={"kind": "learned", "length": 40} if request.param == "learned" else request.param)


@pytest.mark.parametrize("sampling", [Sampling(0.0), Sampling(), Sampling(0.7, 20, 0.9, 0.01)], ids=["greedy", "plain", "filtered"])
def test_the_state_changes_nothing_and_neither_do_the_texts_beside(model: Model, sampling: Sampling) -> None:
    together = columns(generate(model, PROMPT, 4, 25, sampling, seed=3, end=END))
    for row, text in enumerate(together):
        alone = uncached(model, PROMPT, row, 25, sampling, seed=3)
        assert text[: len(alone)] == alone
        assert set(text[len(alone) :]) <= {END}
    assert (
        columns(generate(model, PROMPT, 1, 25, sampling, seed=3, end=END))[0]
        == together[0][: len(uncached(model, PROMPT, 0, 25, sampling, 3))]
    )


def test_the_seed_decides() -> None:
    model = decoder()
    draws = [columns(generate(model, [], 3, 20, Sampling(), seed, end=END)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0][0] != draws[0][1]


def test_sampling_disturbs_no_other_random_stream() -> None:
    model, before = decoder(), torch.get_rng_state()
    list(generate(model, [], 2, 5, Sampling(), 0, end=END))
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
    rows = columns(generate(eager(1), [], 20, 500, Sampling(), 0, end=END))
    assert len(rows[0]) < 500
    assert max(row.index(END) for row in rows) == len(rows[0]) - 1
    for row in rows:
        assert set(row[: row.index(END)]) <= {ord("a")}
        assert set(row[row.index(END) :]) == {END}


def test_a_text_without_an_end_stops_at_the_limit() -> None:
    assert len(list(generate(eager(1_000_000), [], 2, 17, Sampling(), 0, end=END))) == 17


def test_a_text_is_never_longer_than_the_positions() -> None:
    for prompt in ([], PROMPT, [*PROMPT] * 2):
        model = eager(1_000_000, position={"kind": "learned", "length": 13})
        (text,) = columns(generate(model, prompt, 1, 100, Sampling(), 0, end=END))
        assert text == [ord("a")] * (13 - len(prompt)) + [NO_TOKEN]


def test_a_prompt_longer_than_the_positions_is_the_users_mistake() -> None:
    model = decoder(position={"kind": "learned", "length": 6})
    with pytest.raises(UserError, match="the prompt has 6 tokens and the model reads at most 5; shorten it"):
        list(generate(model, PROMPT, 1, 10, Sampling(), 0, end=END))


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_as_before_also_when_one_stops_listening(training: bool) -> None:
    model = decoder(embedding_dropout=0.5).train(training)
    steps = generate(model, PROMPT, 2, 30, Sampling(), 0, end=END)
    next(steps)
    steps.close()
    assert model.training is training


LOGITS = torch.tensor([0.5, 2.0, -1.0, 1.0, 0.0, -3.0], dtype=torch.float64)
P = LOGITS.softmax(-1)
ORDER = P.argsort(descending=True)


def support(sampling: Sampling, logits: Tensor = LOGITS) -> set[int]:
    return set(sampling.probabilities(logits).nonzero().flatten().tolist())


def test_without_filters_it_is_the_softmax() -> None:
    assert torch.allclose(Sampling().probabilities(LOGITS), P)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_temperature_divides_the_logits(temperature: float) -> None:
    assert torch.allclose(Sampling(temperature).probabilities(LOGITS), (LOGITS / temperature).softmax(-1))


@pytest.mark.parametrize("temperature", [1e-320, 5e-324, 1e-300])
def test_the_lowest_temperatures_are_the_likeliest_token(temperature: float) -> None:
    huge = torch.tensor([-3e38, 0.0, 3e38], dtype=torch.float64)
    assert Sampling(temperature).probabilities(huge).tolist() == [0, 0, 1]
    assert support(Sampling(temperature)) == {1}


@pytest.mark.parametrize("broken", [[0.0, float("nan")], [float("inf"), 0.0], [-float("inf")] * 2])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_distribution_are_an_error(broken: list[float], temperature: float) -> None:
    with pytest.raises(NonFiniteLoss, match="NaN or infinite, so nothing can be drawn from them"):
        Sampling(temperature).sample(torch.tensor([[0.0, 0.0], broken]), [torch.Generator()] * 2)


@pytest.mark.parametrize(
    "wrong", [{"temperature": float("inf")}, {"temperature": float("nan")}, {"top_k": 0}, {"top_p": 0.0}, {"min_p": 1.5}, {"min_p": -0.1}]
)
def test_a_setting_out_of_its_range_is_refused_with_the_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="is out of range; give a number"):
        Sampling(**wrong).check()  # type: ignore[arg-type]


def test_temperature_zero_is_the_likeliest_token_whatever_the_filters() -> None:
    assert support(Sampling(0.0, top_k=3, top_p=0.9)) == {1}
    assert Sampling(0.0).probabilities(LOGITS)[1] == 1


@pytest.mark.parametrize("k", [1, 2, 5, 6, 100])
def test_top_k_keeps_the_k_likeliest_in_their_proportions(k: int) -> None:
    kept = Sampling(top_k=k).probabilities(LOGITS)
    best = ORDER[:k].tolist()
    assert support(Sampling(top_k=k)) == set(best)
    assert torch.allclose(kept[best], P[best] / P[best].sum())


@pytest.mark.parametrize("mass", [1e-9, 0.3, 0.6, 0.9, 0.999, 1.0])
def test_top_p_keeps_the_smallest_set_that_reaches_the_mass(mass: float) -> None:
    kept = support(Sampling(top_p=mass))
    size = len(kept)
    assert kept == set(ORDER[:size].tolist())
    assert P[list(kept)].sum() >= mass - 1e-12
    assert size == 1 or P[ORDER[: size - 1]].sum() < mass


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_min_p_keeps_what_reaches_a_share_of_the_likeliest(share: float) -> None:
    assert support(Sampling(min_p=share)) == {i for i in range(6) if P[i] >= share * P.max()}


@given(
    logits=st.lists(st.floats(-20, 20), min_size=2, max_size=12),
    temperature=st.floats(0.05, 5),
    top_k=st.none() | st.integers(1, 14),
    top_p=st.none() | st.floats(1e-6, 1),
    min_p=st.none() | st.floats(0, 1),
)
def test_every_setting_gives_a_distribution_with_the_likeliest_token_in_it(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None, min_p: float | None
) -> None:
    values = torch.tensor(logits, dtype=torch.float64)
    p = Sampling(temperature, top_k, top_p, min_p).probabilities(values)
    assert float(p.sum()) == pytest.approx(1)
    assert (p >= 0).all()
    assert p[values >= values.max() - 1e-9].max() > 0  # of equally likely ones any may stay


def test_draws_follow_the_distribution_and_never_leave_the_support() -> None:
    sampling = Sampling(top_k=3)
    rows = 4000
    generators = [torch.Generator().manual_seed(seed) for seed in range(rows)]
    counts = torch.bincount(sampling.sample(LOGITS.expand(rows, -1), generators), minlength=6) / rows
    expected = sampling.probabilities(LOGITS)
    assert (counts[expected == 0] == 0).all()
    assert torch.allclose(counts.double(), expected, atol=0.03)


def test_a_row_draws_from_its_own_generator_alone() -> None:
    def generators(count: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in range(count)]

    many = Sampling().sample(LOGITS.expand(50, -1), generators(50))
    assert many[:7].tolist() == Sampling().sample(LOGITS.expand(7, -1), generators(7)).tolist()
