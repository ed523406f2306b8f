"""The size and the cost of a model are those of closed formulas."""

from collections import Counter

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from assay.core.config import FAMILIES, Config
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.presets.transformers import gpt2, llama
from assay.models.recurrent import Recurrent
from assay.nn.linear import parameters_by_role


def by_role(config: Config, vocabulary: int) -> Counter[str]:
    """Elements by role, from the built module; nothing is allocated."""
    with torch.device("meta"):
        model = Decoder(config, vocabulary) if isinstance(config, DecoderConfig) else Recurrent(config, vocabulary)
    counts: Counter[str] = Counter()
    for parameter in parameters_by_role(model):
        counts[parameter.role] += parameter.tensor.numel()
    assert counts.total() == sum(parameter.numel() for parameter in model.parameters())
    return counts


def gpt2_formula(width: int, depth: int, length: int, vocabulary: int) -> dict[str, int]:
    biases = 3 * width + width + 4 * width + width  # qkv, attention output, both maps of the perceptron
    return {
        "matrix": depth * 12 * width**2,
        "embedding": (vocabulary + length) * width,
        "vector": depth * (biases + 4 * width) + 2 * width,  # two norms a layer and one at the end, gain and bias
    }


def llama_formula(width: int, depth: int, hidden: int, vocabulary: int) -> dict[str, int]:
    return {
        "matrix": depth * (4 * width**2 + 3 * width * hidden),
        "embedding": vocabulary * width,
        "vector": (2 * depth + 1) * width,
        "head": vocabulary * width,
    }


def test_gpt2_small_has_the_124_million_parameters_of_the_release() -> None:
    config = FAMILIES["model"].make("gpt2-small")
    assert isinstance(config, DecoderConfig)
    counts = by_role(config, 50_257)
    assert counts == gpt2_formula(768, 12, 1024, 50_257)
    assert counts.total() == 124_439_808


def test_llama_7b_has_the_parameters_of_the_release() -> None:
    counts = by_role(llama(4096, 32, 32, hidden=11_008), 32_000)
    assert counts == llama_formula(4096, 32, 11_008, 32_000)
    assert counts.total() == 6_738_415_616


@pytest.mark.parametrize(("preset", "length"), [("gpt2-tiny", 64), ("gpt2-small", 1024)])
def test_gpt2_presets_have_gpt2_s_shape(preset: str, length: int) -> None:
    config = FAMILIES["model"].make(preset)
    assert isinstance(config, DecoderConfig)
    assert by_role(config, 257) == gpt2_formula(config.width, config.depth, length, 257)


@pytest.mark.parametrize(("preset", "hidden"), [("llama-tiny", 344), ("llama-small", 2048)])
def test_llama_presets_have_llama_s_shape(preset: str, hidden: int) -> None:
    config = FAMILIES["model"].make(preset)
    assert isinstance(config, DecoderConfig)
    assert by_role(config, 257) == llama_formula(config.width, config.depth, hidden, 257)


def test_grouped_queries_shrink_the_key_and_value_maps_alone() -> None:
    whole, grouped = by_role(llama(64, 2, 8, hidden=96), 257), by_role(llama(64, 2, 8, hidden=96, key_heads=2), 257)
    assert whole["matrix"] - grouped["matrix"] == 2 * 2 * 64 * (64 - 16)


def flops(config: DecoderConfig, batch: int, length: int, vocabulary: int) -> int:
    """Counted by tracing. The fused attention of a CPU is not known to the counter, so the explicit one is traced."""
    model = config.build(vocabulary, torch.Generator().manual_seed(0)).eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        _ = model(torch.zeros(batch, length, dtype=torch.int64)).logits
    return counter.get_total_flops()


def test_flops_are_twice_the_matrices_and_the_two_products_of_attention() -> None:
    batch, length, vocabulary, depth = 2, 13, 23, 3
    for config, matrices in (
        (gpt2(32, depth, 4), 12 * 32**2),
        (llama(32, depth, 4, hidden=40), 4 * 32**2 + 3 * 32 * 40),
        (llama(32, depth, 4, hidden=40, key_heads=2), 3 * 32**2 + 3 * 32 * 40),
    ):
        attention = 2 * 2 * length**2 * 32  # scores and values, the masked half counted as well
        formula = 2 * length * (depth * matrices + vocabulary * 32) + depth * attention
        assert flops(config, batch, length, vocabulary) == batch * formula


@pytest.mark.parametrize(
    ("name", "vocabulary", "parameters"),
    [
        ("gpt2-medium", 50_257, 354_823_168),
        ("gpt2-large", 50_257, 774_030_080),
        ("gpt2-xl", 50_257, 1_557_611_200),
        ("llama-7b", 32_000, 6_738_415_616),
    ],
)
def test_the_sizes_of_the_released_models(name: str, vocabulary: int, parameters: int) -> None:
    assert by_role(FAMILIES["model"].make(name), vocabulary).total() == parameters


@pytest.mark.parametrize(("name", "width"), [("lstm-tiny", 128), ("lstm-small", 200), ("lstm-medium", 650), ("lstm-large", 1500)])
def test_an_lstm_has_four_gates_a_cell(name: str, width: int) -> None:
    counts = by_role(FAMILIES["model"].make(name), 10_000)
    assert counts == {
        "embedding": 10_000 * width,
        "matrix": 2 * 4 * width * (width + width),
        "vector": 2 * 4 * width + 10_000,
        "head": 10_000 * width,
    }


@pytest.mark.parametrize(
    ("name", "depth", "alone", "training"), [("t12", 12, 41_237_504, 44_252_160), ("t64", 64, 218_792_960, 235_439_104)]
)
def test_al_rfou_s_models_have_the_published_parameters_alone_and_in_training(name: str, depth: int, alone: int, training: int) -> None:
    """41 and 44 million, 219 and 235: the paper's figures, to the last one with a matrix for each layer and target."""
    with FakeTensorMode():
        model = FAMILIES["model"].make(name).build(256, torch.Generator())
        heads = FAMILIES["objective"].make("al-rfou").build(model, torch.Generator())
    assert sum(parameter.numel() for parameter in model.parameters()) == alone
    assert sum(parameter.numel() for parameter in heads.parameters()) == (2 * depth - 1) * 256 * 512 == training - alone
    assert {parameter.role for parameter in parameters_by_role(heads)} == {"head"}
