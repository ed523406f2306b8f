"""What earlier versions wrote is read in today's words, digests stay those of the first words, and a typed old word is told by name."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.core import renames
from assay.core.catalogue import read_registry
from assay.core.config import FAMILIES, Config, config_class
from assay.core.renames import new_name, restore, update, update_key, update_override, update_protocol, update_weights
from assay.data.batches import BatchesConfig
from assay.data.documents import DocumentsConfig
from assay.data.joined_documents import StreamsConfig, WindowsConfig
from assay.errors import ConfigError, UnknownKeyError
from assay.experiment.config import ExperimentConfig
from assay.runs.directory import RunDirectory
from assay.searches.file import SearchConfig
from assay.studies.file import StudyConfig
from assay.text.piece_tokenizers import ByteTokenizer
from assay.text.token_files import read_part, write_part

EARLIER_RUNS = sorted(path.parent for path in (Path(__file__).parents[1] / "data" / "run-0.5.0").glob("*/config.toml"))
OLD = {"plan": {"kind": "lanes", "window": 64, "batch": 8}, "model": {"block": {"feed": {"kind": "glu"}, "feed_dropout": 0.1}}}
NEW = {
    "batches": {"kind": "streams", "window": 64, "size": 8},
    "model": {"block": {"feedforward": {"kind": "glu"}, "feedforward_dropout": 0.1}},
}


def test_a_config_tree_is_read_in_todays_words() -> None:
    assert update(OLD) == NEW
    assert update({"plan": "lanes"}) == {"batches": "streams"}


def test_what_is_already_in_todays_words_stays() -> None:
    assert update(NEW) == NEW
    assert update({"train": {"batch": 8}, "corpus": {"path": "plan=lanes", "kind": "text"}}) == {
        "train": {"batch": 8},
        "corpus": {"path": "plan=lanes", "kind": "text"},
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("plan.batch", "batches.size"),
        ("batches.batch", "batches.size"),
        ("model.block.feed.activation", "model.block.feedforward.activation"),
        ("model.block.feed_dropout", "model.block.feedforward_dropout"),
        ("train.batch", "train.batch"),
        ("corpus.path", "corpus.path"),
    ],
)
def test_a_dotted_key_is_read_in_todays_words(old: str, new: str) -> None:
    assert update_key(old) == new
    assert update({old: 3}) == {new: 3}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("plan.batch=8", "batches.size=8"),
        ("plan=lanes", "batches=streams"),
        ("plan.kind=lanes", "batches.kind=streams"),
        ("plan={kind=lanes, window = 64, batch=8}", "batches={kind=streams, window = 64, size=8}"),
        ("model.block={feed={kind=glu}}", "model.block={feedforward={kind=glu}}"),
        ('plan="lanes"', 'batches="streams"'),
        ("plan = lanes", "batches= streams"),
        ('plan={kind="lanes",batch=2}', 'batches={kind="streams",size=2}'),
        ('plan={"batch" = 2}', 'batches={"size" = 2}'),
        ('model.pattern=[{feed="glu"}, {}]', 'model.pattern=[{feedforward="glu"}, {}]'),
        ("model={block={feed_dropout=0.1}, width=8}", "model={block={feedforward_dropout=0.1}, width=8}"),
        ("model.block.mixer={kind=ema, feed=2, plan=3}", "model.block.mixer={kind=ema, feed=2, plan=3}"),
        ("corpus.path=plan=lanes", "corpus.path=plan=lanes"),
        ("split.validation=0.1", "split.validation=0.1"),
    ],
)
def test_an_override_is_read_in_todays_words(old: str, new: str) -> None:
    assert update_override(old) == new
    assert update({"set": [old]}) == {"set": [new]}


def test_a_setting_of_another_kind_that_is_called_like_an_old_key_stays() -> None:
    config = {"model": {"block": {"mixer": {"kind": "ema", "feed": 2, "plan": 3}}}}
    assert update(config) == config
    assert restore({"model": {"block": {"mixer": {"feedforward": 1, "batches": 2, "size": 3}}}}) == {
        "model": {"block": {"mixer": {"feedforward": 1, "batches": 2, "size": 3}}}
    }


@pytest.mark.parametrize("config", [{"plan": {"window": 16}, "batches": {"size": 8}}, {"batches": {"batch": 4, "size": 8}}])
def test_a_key_in_both_words_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"is set twice, as it was called '(plan|batch)' before 0\.7; keep one of them"):
        update(config)


def test_names_and_sentences_of_a_study_are_left_alone() -> None:
    study = {"question": "plan=lanes?", "variants": {"feed": {"label": "plan=lanes", "plan": "lanes"}}, "axes": {"plan": ["lanes"]}}
    assert update(study) == {
        "question": "plan=lanes?",
        "variants": {"feed": {"label": "plan=lanes", "batches": "streams"}},
        "axes": {"batches": ["streams"]},
    }


def test_weights_are_read_by_the_names_that_modules_have_today() -> None:
    old = ["blocks.0.feed.up.weight", "blocks.0.feed_norm.weight", "valley.blocks.0.mixer.out.weight", "modules_ahead.0.joined.weight"]
    new = [
        "blocks.0.feedforward.up.weight", "blocks.0.feedforward_norm.weight", "inner.blocks.0.mixer.out.weight",
        "mtp_modules.0.projection.weight",
    ]  # fmt: skip
    assert list(update_weights(dict.fromkeys(old, 0))) == new
    assert list(update_weights(dict.fromkeys(new, 0))) == new


def test_a_protocol_is_read_in_todays_words() -> None:
    assert update_protocol({"policy": "carried", "context": 8}) == {"policy": "streams", "context": 8}
    assert update_protocol({"policy": "strided"}) == {"policy": "strided"}
    assert update_protocol({"context": 8}) == {"context": 8}


def test_a_file_of_a_run_is_read_by_its_earlier_name_where_there_is_no_other(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for today, earlier in renames.FILES.items():
        run.write_json(earlier, {"is": "earlier"})
        assert run.read_json(today) == {"is": "earlier"}
        run.write_json(today, {"is": "today"})
        assert run.read_json(today) == {"is": "today"}


def test_restore_gives_the_first_words() -> None:
    assert restore(NEW) == OLD
    assert restore(update(OLD)) == OLD
    assert restore({"window": 64, "size": 8}, "batches") == {"window": 64, "batch": 8}


@pytest.mark.parametrize("run", EARLIER_RUNS, ids=lambda path: path.name)
def test_the_digest_of_a_run_is_the_one_that_it_was_made_with(run: Path) -> None:
    config = ExperimentConfig.make(update(tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))))
    assert config.digest() == json.loads((run / "provenance.json").read_text(encoding="utf-8"))["config"]


@pytest.mark.parametrize(
    ("recipe", "digest"),
    [
        ("bible", "c81dcb7a96d6d99f9d23aa6201d8898a9aff0415b053d748a652c07e5b062319"),
        ("bible-lstm", "c88600a8a4af4bc3306cdf482e997526a562bda60f980546637218b226ff2ac9"),
        ("bible-word", "e2634a8dcde6d2d0c799c643228294090421077784d54208e6905511e0a0237a"),
    ],
)
def test_the_digest_of_a_recipe_is_that_of_0_6(recipe: str, digest: str) -> None:
    assert ExperimentConfig.load(recipe).digest() == digest


@pytest.mark.parametrize(
    ("config", "fingerprint"),
    [
        (WindowsConfig(window=5, size=3), "fc832126240f0806596934d4e0a52d2cbbd154c0cccb4fece5615b2453eb4d05"),
        (StreamsConfig(window=5, size=3), "4088a322db2a01df2865441e818e5ca1a7ea7969dcd5cd5d07228707eb9a82ff"),
        (DocumentsConfig(window=5, size=3), "1243210f476ef295de87a794b91651ee7ca78e048facd2246a3a8bb4ccbb2088"),
    ],
    ids=["windows", "streams", "documents"],
)
def test_the_fingerprint_of_batches_is_that_of_0_6(config: BatchesConfig, fingerprint: str, tmp_path: Path) -> None:
    part = read_part(tmp_path, "train", write_part(tmp_path, "train", [b"In the beginning", b"and the earth"], None, ByteTokenizer()))
    assert config.build(part, ByteTokenizer().end_id, 1, "prepared").fingerprint == fingerprint


def config_classes() -> Iterator[type[Config]]:
    """Every config class: all kinds, and what is reached from the configs of experiments, studies and searches."""
    read_registry()
    waiting: list[type[Config]] = [ExperimentConfig, StudyConfig, SearchConfig]
    waiting += [leaf for family in FAMILIES.values() for leaf in family.kinds.values() if leaf.__module__.startswith("assay.")]
    seen: set[type[Config]] = set()
    while waiting:
        found = waiting.pop()
        if found not in seen:
            seen.add(found)
            yield found
            waiting += filter(None, (config_class(field.annotation) for field in found.model_fields.values()))


def test_an_old_key_is_the_name_of_no_config_field_today() -> None:
    fields = {key for config in config_classes() for key in config.model_fields}
    assert {old for place, old in renames.KEYS if place != "batches"}.isdisjoint(fields)
    assert set(renames.KEYS.values()) <= fields
    assert "batch" not in {key for leaf in FAMILIES["batches"].kinds.values() for key in leaf.model_fields}
    assert renames.KINDS.keys().isdisjoint(kind for family in FAMILIES.values() for kind in family.kinds)
    assert {name for name, family in FAMILIES.items() if set(renames.KINDS.values()) & family.kinds.keys()} == {"batches"}


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("plan.window=8", "plan: 'plan' is called 'batches' since 0.7; write that"),
        ("plan.batch=8", "plan.batch: 'plan.batch' is called 'batches.size' since 0.7; write that"),
        ("plan=lanes", "plan: 'plan=lanes' is called 'batches=streams' since 0.7; write that"),
        ("plan={kind=lanes}", "plan.kind: 'plan.kind=lanes' is called 'batches.kind=streams' since 0.7; write that"),
        ("batches.batch=8", "batches.batch: 'batch' is called 'size' since 0.7; write that"),
        ("batches=lanes", "batches: 'lanes' is called 'streams' since 0.7; write that"),
        ("model.block.feed=glu", "model.block.feed: 'feed' is called 'feedforward' since 0.7; write that"),
    ],
)
def test_a_typed_old_word_is_told_by_todays_name(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        ExperimentConfig.load("bible", [override])
    assert str(error.value) == sentence


def test_only_an_old_word_has_a_new_name() -> None:
    words: list[Any] = [new_name(word) for word in ("plan", "batch", "lanes", "batches", "depth")]
    assert words == ["batches", "size", "streams", None, None]
    with pytest.raises(UnknownKeyError, match=r"train\.batch: unknown key"):
        ExperimentConfig.load("bible", ["train.batch=8"])
