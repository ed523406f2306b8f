"""Look up a text by the name of a recipe or a corpus, or the path of a file."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from assay.core import recipe
from assay.core.config import Config, SerializeAsAny
from assay.core.config_keys import find_refusal
from assay.core.foreign_settings import explain_foreign_keys
from assay.core.trees import Tree
from assay.data.split import SplitConfig
from assay.data.split_advice import find_sound_split
from assay.errors import UserError, suggest
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.tokenizer import TokenizerConfig

FEW_DOCUMENTS = 100  # fewer are split in order and inside documents: so few whole ones cannot give the shares


class TextSettings(Config):
    """The settings of an experiment that decide its tokens."""

    corpus: SerializeAsAny[CorpusConfig]
    split: SerializeAsAny[SplitConfig]
    tokenizer: SerializeAsAny[TokenizerConfig]

    @classmethod
    def make(cls, tree: Mapping[str, Any]) -> Self:
        """Make the settings of a mapping. Raises ConfigError."""
        with explain_foreign_keys(tree, partial(find_refusal, cls)):
            return super().make(tree)


class TextChoice(NamedTuple):
    """A text, and how to split it and cut it into tokens."""

    settings: TextSettings
    corpus: Corpus
    origin: str  # of the settings, such as `recipe bible`


def look_up_text(name: str, overrides: list[str], data_dir: Path | None, scale: str | None = None) -> TextChoice:
    """Load the text that `name` means, with overrides applied; `scale` is one of the recipe's.

    Raises UserError for an unknown name, and what loading raises.
    """
    tree, origin = _find_settings(name, scale)
    settings = TextSettings.make(recipe.apply_overrides({"split": "hash", **tree}, overrides))
    corpus = settings.corpus.load(data_dir)
    if "split" not in tree:
        split = fit_split(settings.split, corpus).to_dict()
        settings = TextSettings.make(recipe.apply_overrides({"split": split, **tree}, overrides))
    return TextChoice(settings, corpus, origin)


def default_split(corpus: Corpus) -> Tree:
    """Choose the split of a text that no recipe uses."""
    if not corpus.separator:
        return {"kind": "contiguous", "exact": True}
    return {"kind": "contiguous" if len(corpus.documents) < FEW_DOCUMENTS else "hash"}


def fit_split(asked: SplitConfig, corpus: Corpus) -> SplitConfig:
    """Choose the split of a text that no recipe uses, with the shares that are asked for where the text has enough documents for them."""
    assert SplitConfig.family is not None
    first = SplitConfig.family.make({**default_split(corpus), "validation": asked.validation, "test": asked.test})
    assert isinstance(first, SplitConfig)
    return find_sound_split(first, corpus.documents, corpus.separator)


def _find_settings(word: str, scale: str | None) -> tuple[Tree, str]:
    """Find the settings that a name means, without a split where no recipe has one, and their origin."""
    assert CorpusConfig.family is not None
    kinds, recipes = [*CorpusConfig.family.kinds], recipe.list_recipes()
    name = word if word in recipes or word.endswith(".toml") else _find_recipe_of(word)
    if name is not None:
        tree = recipe.load_recipe(name, scale)
        return {key: tree[key] for key in TextSettings.model_fields if key in tree}, " ".join(filter(None, ("recipe", name, scale)))
    if scale is not None:
        raise UserError(f"scale: '{word}' is no recipe, and only recipes have scales; leave it out")
    recipe.refuse_run(word)
    if word in kinds:
        return {"corpus": word, "tokenizer": "bpe"}, f"corpus {word}"
    if Path(word).exists() or Path(word).name != word or Path(word).suffix:
        return {"corpus": {"kind": "text", "path": word}, "tokenizer": "bpe"}, f"file {word}"
    recipe.refuse_other_things(word)
    raise UserError(f"'{word}' is neither a recipe, nor a corpus, nor a file here; {suggest(word, [*recipes, *kinds])}")


def _find_recipe_of(kind: str) -> str | None:
    """Find the first recipe on a kind of corpus."""
    for name in recipe.list_recipes():
        corpus = recipe.load_recipe(name).get("corpus", {})
        if kind in (corpus, corpus.get("kind") if isinstance(corpus, dict) else None) and kind != "text":
            return name
    return None
