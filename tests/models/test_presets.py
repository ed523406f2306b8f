"""Presets have the parameters of closed formulas, and as many as was published, with the vocabulary that each is for."""

from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from assay.core.config import FAMILIES, Config
from assay.models.base import Model, ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.hourglass import HourglassConfig
from assay.models.presets.transformers import deepseek
from assay.nn.feedforward.mixture import Experts
from assay.nn.feedforward.moe import DeepseekMoeConfig
from assay.nn.mixer.compressor import Compressor
from assay.nn.position.absolute import RowColumnPosition

BYTES, WITHOUT_NEWLINE, ENWIK8 = 256, 204, 205


def built(config: Config | str, vocabulary: int) -> Model:
    """A preset, or a config, of which nothing is allocated."""
    made = FAMILIES["model"].make(config) if isinstance(config, str) else config
    assert isinstance(made, ModelConfig)
    with FakeTensorMode():
        return made.build(vocabulary, torch.Generator().manual_seed(0))


def size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def block(width: int, hidden: int, inner: int | None = None) -> int:
    """Matrices and biases of attention of inner width R and of a perceptron, two norms."""
    inner = inner or width
    attention = 4 * width * inner + 3 * inner + width
    return attention + 2 * width * hidden + hidden + width + 4 * width


def decoder(name: str) -> DecoderConfig:
    config = FAMILIES["model"].make(name)
    assert isinstance(config, DecoderConfig)
    return config


@pytest.mark.parametrize("name", FAMILIES["model"].presets)
def test_a_preset_is_built_and_says_what_it_is(name: str) -> None:
    assert size(built(name, BYTES)) > 0
    assert FAMILIES["model"].preset_descriptions[name].splitlines()[0].endswith(".")


@pytest.mark.parametrize(("name", "depth", "published"), [("t12", 12, "41.24"), ("t64", 64, "218.79")])
def test_al_rfou_s_models_have_the_published_size_of_inference(name: str, depth: int, published: str) -> None:
    found = size(built(name, BYTES))
    assert found == depth * (block(512, 2048) + 512 * 512) + 2 * BYTES * 512 + 2 * 512
    assert f"{found / 1e6:.2f}" == published


def xl(width: int, depth: int, hidden: int, vocabulary: int) -> int:
    layer = 5 * width**2 + 2 * width * hidden + hidden + width + 4 * width  # W_q, W_k, W_v, W_o and W_R have no biases
    return depth * layer + vocabulary * width + vocabulary + 2 * width  # u and v are one for all layers


@pytest.mark.parametrize(("name", "shape", "published"), [("xl-12", (512, 12, 2048), 41), ("xl-24", (1024, 24, 3072), 277)])
def test_transformer_xl_has_the_published_size(name: str, shape: tuple[int, int, int], published: int) -> None:
    for vocabulary in (WITHOUT_NEWLINE, BYTES):
        found = size(built(name, vocabulary))
        assert found == xl(*shape, vocabulary)
        assert round(found / 1e6) == published


def test_the_compressive_transformer_has_the_published_size_without_its_compressors() -> None:
    model = built("compressive-24", WITHOUT_NEWLINE)
    compressors = sum(size(module) for module in model.modules() if isinstance(module, Compressor))
    assert compressors == 24 * 3 * 1024**2
    assert size(model) - compressors == xl(1024, 24, 3072, WITHOUT_NEWLINE)
    assert round((size(model) - compressors) / 1e6) == 277
    assert size(model) == 352_729_292


def test_the_sparse_transformer_has_the_published_size() -> None:
    model = built("sparse-95m", BYTES)
    assert isinstance(model.position, RowColumnPosition)
    assert model.max_length == 12_288
    positions = (12_288 // 128 + 128) * 512
    assert size(model) == 30 * block(512, 2048) + 2 * BYTES * 512 + 2 * 512 + positions == 94_949_376
    assert round(size(model) / 1e6) == 95


def test_the_hourglass_has_the_layers_of_its_hierarchy_and_one_for_each_resampling() -> None:
    config = FAMILIES["model"].make("hourglass-enwik8")
    assert isinstance(config, HourglassConfig)
    layers = 5 + 24 + 5 + 2
    assert len(config.layers()) == layers
    found = size(built(config, BYTES))
    relative, norms_of_neighbours = layers * 512**2 + 2 * 512, 2 * 2 * 512
    assert found == layers * block(512, 2048) + relative + norms_of_neighbours + 2 * BYTES * 512 + 2 * 512
    assert found == 123_189_248


def test_the_awd_lstm_has_the_published_size() -> None:
    found = size(built("awd-lstm", ENWIK8))
    gates = 4 * (1840 * (400 + 1840 + 1) + 1840 * (1840 + 1840 + 1) + 400 * (1840 + 400 + 1))
    assert found == gates + ENWIK8 * 400 + ENWIK8 == 47_253_725
    assert round(found / 1e6) == round((found + 16_320) / 1e6) == 47  # with torch's second biases too


def test_the_mogrifier_is_the_widest_of_48_million_parameters() -> None:
    def formula(width: int) -> int:
        cell = 4 * width * (2 * width + 1) + 6 * (2 * 79 * width + width)
        return 4 * cell + 2 * ENWIK8 * width + ENWIK8

    found = size(built("mogrifier", ENWIK8))
    assert found == formula(1160) == 47_980_125
    assert round(found / 1e6) == 48
    assert formula(1161) > 48e6


def test_the_bottleneck_of_titles_has_the_size_that_was_asked_for() -> None:
    found = size(built("titles-bottleneck", 16_000))
    assert found == 6 * block(256, 1024, inner=64) + (16_000 + 256) * 256 + 2 * 256 == 7_717_504


def deepseek_sizes(width: int, depth: int, feedforward: DeepseekMoeConfig, dense: int, *, vocabulary: int, heads: int) -> tuple[int, int]:
    """All parameters and the active ones."""
    head, latent, expert = width // heads, width // 4, 3 * width * (feedforward.hidden or 0)
    rotary = head // 2
    queries, down, up = width * heads * (head + rotary), width * (latent + rotary) + latent, latent * heads * 2 * head
    layer = queries + down + up + width**2 + 2 * width
    common = depth * layer + 3 * width * dense + (depth - 1) * width * feedforward.experts + (2 * vocabulary + 1) * width
    return tuple(common + (depth - 1) * (number + feedforward.shared) * expert for number in (feedforward.experts, feedforward.active))  # type: ignore[return-value]


def active(model: nn.Module) -> int:
    return size(model) - sum(module.inactive_parameters for module in model.modules() if isinstance(module, Experts))


@pytest.mark.parametrize(
    ("name", "heads", "dense", "sizes"),
    [("deepseek-tiny", 4, 4 * 88, (2_152_704, 834_816)), ("deepseek-small", 8, 8 * 352, (217_413_632, 62_781_440))],
)
def test_the_small_deepseeks_have_the_sizes_of_the_formula(name: str, heads: int, dense: int, sizes: tuple[int, int]) -> None:
    model, config = built(name, BYTES), decoder(name)
    feedforward = config.block.feedforward
    assert isinstance(feedforward, DeepseekMoeConfig)
    assert deepseek_sizes(config.width, config.depth, feedforward, dense, vocabulary=BYTES, heads=heads) == sizes
    assert (size(model), active(model)) == sizes


def test_deepseek_s_shape_at_the_released_sizes_has_the_size_of_the_release() -> None:
    feedforward = DeepseekMoeConfig(
        experts=64, active=6, shared=2, hidden=1408
    )  # 27 layers, 102,400 tokens and 15.7 billion are from memory
    model = built(deepseek(2048, 27, 16, feedforward, dense=10_944), 102_400)
    assert (size(model), active(model)) == deepseek_sizes(2048, 27, feedforward, 10_944, vocabulary=102_400, heads=16)
    assert f"{size(model) / 1e9:.1f}" == "15.7"
    assert not hasattr(decoder("deepseek-tiny").layers()[0].feedforward, "experts")


def settings(name: str) -> dict[str, Any]:
    return FAMILIES["model"].make(name).to_dict()


@pytest.mark.parametrize(
    ("name", "kind", "eps"),
    [
        ("gpt2-xl", "layer_norm", 1e-5),  # src/model.py of openai/gpt-2
        ("llama-7b", "rms_norm", 1e-6),  # params.json of the release
        ("deepseek-small", "rms_norm", 1e-6),  # inference/model.py of deepseek-ai/DeepSeek-V3
        ("xl-24", "layer_norm", 1e-5),  # pytorch/mem_transformer.py of kimiyoung/transformer-xl, which leaves it to torch
        ("hourglass-enwik8", "layer_norm", 1e-6),  # layers/normalization.py of google/trax
    ],
)
def test_norms_have_the_eps_of_the_authors_code(name: str, kind: str, eps: float) -> None:
    norm = settings(name)["block"]["norm"]
    assert (norm["kind"], norm["eps"]) == (kind, eps)


def test_the_mogrifier_has_the_settings_of_the_authors_configuration() -> None:
    theirs = {  # lamb/experiment/mogrifier/config/.. enwik8_48m_lstm_fm_d4 .. of deepmind/lamb
        "input_dropout": 0.015496029112930465,
        "inter_layer_dropout": 0.008633961431527571,
        "output_dropout": 0.138307173174503,
        "state_dropout": 0.0437288219541186,
    }
    ours = settings("mogrifier")
    assert ours["embedding_dropout"] == round(theirs["input_dropout"], 4)
    assert ours["hidden_dropout"] == round(theirs["inter_layer_dropout"], 4)
    assert ours["dropout"] == round(theirs["output_dropout"], 4)
    assert ours["cell"]["state_dropout"] == round(theirs["state_dropout"], 3)
    assert {name: ours["cell"][name] for name in ("rounds", "rank", "capped", "forget_bias")} == {
        "rounds": 6, "rank": 79, "capped": True, "forget_bias": 1.0,
    }  # fmt: skip
    assert (ours["skip"], ours["head"]["tied"], 1 + len(ours["hidden"])) == (True, False, 4)


@pytest.mark.parametrize(
    ("name", "settings_of_it"),
    [
        ("t64", {"position": "per_layer", "mixer": "full", "placement": "pre"}),
        ("xl-24", {"position": "relative", "mixer": "xl", "placement": "post"}),
        ("compressive-24", {"position": "relative", "mixer": "compressive", "placement": "post"}),
        ("sparse-95m", {"position": "row_column", "mixer": "sparse", "placement": "pre"}),
        ("hourglass-enwik8", {"position": "relative", "mixer": "full", "placement": "pre"}),
        ("deepseek-small", {"position": "rope", "mixer": "latent", "placement": "pre"}),
        ("titles-bottleneck", {"position": "learned", "mixer": "bottleneck", "placement": "pre"}),
    ],
)
def test_a_preset_has_the_parts_of_its_paper(name: str, settings_of_it: dict[str, str]) -> None:
    tree = settings(name)
    found = {"position": tree["position"]["kind"], "mixer": tree["block"]["mixer"]["kind"], "placement": tree["block"]["placement"]}
    assert found == settings_of_it
