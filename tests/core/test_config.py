"""Families, kinds, presets, and the errors of configs."""

import pickle
from typing import Literal

import pytest

from assay.core.config import FAMILIES, Config, Family, config_class, preset, setting
from assay.core.trees import digest
from assay.errors import ConfigError, UnknownKeyError
from assay.experiment.config import ExperimentConfig
from assay.models.decoder import DecoderConfig
from assay.nn.activation import GeluConfig
from assay.nn.block import BlockConfig
from assay.nn.feedforward.dense import GluConfig, MlpConfig
from assay.nn.mixer.full import FullConfig
from assay.nn.norm import NormConfig, RmsNormConfig
from assay.nn.position.relative import RopeConfig
from assay.training.config import TrainConfig


def refusal(tree: dict[str, object], config: type[Config] = DecoderConfig) -> str:
    with pytest.raises(ConfigError) as refused:
        config.make(tree)
    return str(refused.value)


def test_a_family_field_takes_a_name_a_table_a_change_of_its_default_or_a_config() -> None:
    assert DecoderConfig.make({"position": "rope"}).position == RopeConfig()
    assert DecoderConfig.make({"position": {"kind": "rope", "base": 50.0}}).position == RopeConfig(base=50.0)
    assert DecoderConfig.make({"block": {"mixer": {"heads": 4}}}).block.mixer == FullConfig(heads=4)
    assert DecoderConfig(position=RopeConfig(base=50.0)).position == RopeConfig(base=50.0)
    assert BlockConfig.make({"feedforward": {"kind": "glu", "activation": "gelu"}}).feedforward == GluConfig(activation=GeluConfig())


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"widht": 3}, "widht: unknown key; did you mean 'width'?"),
        ({"block": {"mixer": {"head": 4}}}, "block.mixer.head: unknown key; did you mean 'heads'?"),
        ({"block": {"mixer": "ful"}}, "block.mixer: unknown kind 'ful'; did you mean 'full'?"),
        (
            {"block": {"feedforward": {"kind": "glu", "activation": {"kind": "sillu"}}}},
            "block.feedforward.activation: unknown kind 'sillu'",
        ),
        ({"position": {"kind": "rope", "length": 4}}, "position.length: unknown key; known are: base, fraction, kind"),
        ({"head": "tied"}, "head: expects a table of keys, not 'tied'"),
        ({"depth": -1}, "depth: input should be greater than or equal to 0 (given: -1)"),
        ({"width": 32.5}, "width: input should be a valid integer"),
        ({"width": "32"}, "width: input should be a valid integer (given: '32')"),
        ({"embedding_scale": 1}, "embedding_scale: input should be a valid boolean (given: 1)"),
        ({"block": {"placement": "middle"}}, "block.placement: input should be 'pre', 'post', 'sandwich' or 'none' (given: 'middle')"),
        ({"kind": "encoder"}, "kind: input should be 'decoder' (given: 'encoder')"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place_and_the_nearest_word(tree: dict[str, object], message: str) -> None:
    assert refusal(tree).startswith(message)


def test_an_unknown_key_is_an_error_of_its_own_wherever_it_is() -> None:
    for tree in ({"widht": 3}, {"block": {"mixer": {"head": 4}}}):
        with pytest.raises(UnknownKeyError):
            DecoderConfig.make(tree)
    with pytest.raises(ConfigError) as other:
        DecoderConfig.make({"depth": -1})
    assert not isinstance(other.value, UnknownKeyError)
    moved = UnknownKeyError("head", "unknown key").with_prefix("mixer")
    assert (type(moved), type(pickle.loads(pickle.dumps(moved))), str(moved)) == (
        UnknownKeyError,
        UnknownKeyError,
        "mixer.head: unknown key",
    )


def test_a_family_without_a_kind_says_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"kind: is missing; known are: .*layer_norm"):
        FAMILIES["norm"].make({})


def test_the_registry_holds_what_the_files_define() -> None:
    assert {"full"} <= set(FAMILIES["mixer"].kinds)
    assert FAMILIES["feedforward"].kinds["mlp"] is MlpConfig
    assert list(FAMILIES["feedforward"].kinds) == sorted(FAMILIES["feedforward"].kinds)


def test_a_kind_that_two_classes_claim_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"norm: kind 'rms_norm' is defined by both assay\.nn\.norm and"):

        class Impostor(NormConfig):
            kind: Literal["rms_norm"] = "rms_norm"

    assert FAMILIES["norm"].kinds["rms_norm"] is RmsNormConfig


def test_a_new_kind_is_known_by_existing() -> None:
    try:

        class NewConfig(NormConfig):
            kind: Literal["brand_new"] = "brand_new"
            size: int = setting(1, "a number", alternative=2)

        assert BlockConfig.make({"norm": {"kind": "brand_new", "size": 3}}).norm == NewConfig(size=3)
    finally:
        FAMILIES["norm"]._kinds.pop("brand_new")
    assert "brand_new" not in FAMILIES["norm"].kinds


def test_a_preset_stands_where_a_kind_could_and_takes_overrides() -> None:
    plain = FAMILIES["model"].make("gpt2-tiny")
    assert isinstance(plain, DecoderConfig)
    changed = FAMILIES["model"].make({"kind": "gpt2-tiny", "depth": 2, "block": {"feedforward": "glu"}})
    assert isinstance(changed, DecoderConfig)
    assert (changed.depth, changed.width, changed.block.mixer) == (2, plain.width, plain.block.mixer)
    assert changed.block.feedforward == GluConfig()
    assert plain.to_dict()["kind"] == "decoder"


@pytest.mark.parametrize("name", FAMILIES["model"].presets)
def test_a_preset_builds_itself_again_from_its_tree(name: str) -> None:
    config = FAMILIES["model"].make(name)
    assert FAMILIES["model"].make(config.to_dict()) == config


def test_a_preset_with_a_wrong_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="dept: unknown key; did you mean 'depth'"):
        FAMILIES["model"].make({"kind": "gpt2-tiny", "dept": 2})


def test_a_registered_preset_is_found_by_its_name() -> None:
    try:

        @preset("wide-rms")
        def wide() -> NormConfig:
            """An eps of its own."""
            return RmsNormConfig(eps=0.25)

        assert BlockConfig.make({"norm": "wide-rms"}).norm == RmsNormConfig(eps=0.25)
    finally:
        FAMILIES["norm"]._presets.pop("wide-rms")


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        DecoderConfig().width = 3  # type: ignore[misc]


def test_a_changed_copy_is_validated_and_keeps_the_rest() -> None:
    config = DecoderConfig(width=64, position=RopeConfig(base=50.0))
    assert config.replace(depth=3) == DecoderConfig(width=64, depth=3, position=RopeConfig(base=50.0))
    with pytest.raises(ConfigError, match="depth"):
        config.replace(depth=-1)


def test_a_digest_follows_the_resolved_config_and_nothing_else() -> None:
    config = DecoderConfig.make({"width": 32, "position": "rope"})
    assert config.digest() == DecoderConfig.make({"position": {"kind": "rope", "base": 1e4}, "width": 32}).digest()
    assert config.digest() != config.replace(depth=5).digest()
    assert digest({"b": [1, 2.5], "a": "x"}) == digest({"a": "x", "b": [1, 2.5]})


def test_none_is_absent_from_a_tree() -> None:
    tree = DecoderConfig().to_dict()
    assert "norm" not in tree
    assert "hidden" not in tree["block"]["feedforward"]
    assert tree["block"]["mixer"]["kind"] == "full"


@pytest.mark.parametrize(("field", "found"), [("position", "PositionConfig"), ("norm", "NormConfig"), ("width", None)])
def test_the_family_of_a_field_is_read_from_its_annotation(field: str, found: str | None) -> None:
    made = config_class(DecoderConfig.model_fields[field].annotation)
    assert (made.__name__ if made else None) == found


def test_an_error_seen_from_above_has_the_longer_path() -> None:
    error = ConfigError("heads", "is wrong").with_prefix("mixer").with_prefix("block")
    assert (str(error), error.path, error.reason) == ("block.mixer.heads: is wrong", "block.mixer.heads", "is wrong")
    assert isinstance(FAMILIES["mixer"], Family)


def test_a_key_that_stands_deeper_is_named_with_its_place() -> None:
    for key, place in (("budget", "train.budget"), ("patience", "train.patience"), ("pattern", "model.pattern")):
        with pytest.raises(UnknownKeyError, match=f"^{key}: unknown key; did you mean '{place}'"):
            ExperimentConfig.make({key: 1})


def test_the_place_of_a_mistake_is_made_of_keys_alone() -> None:
    with pytest.raises(ConfigError, match=r"^precision: input should be 'float32'"):
        TrainConfig.make({"precision": "fp8"})
