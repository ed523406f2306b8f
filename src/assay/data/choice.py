"""Which text a person means by a word: a recipe's, a corpus', or a file's."""

from pathlib import Path
from typing import NamedTuple

from assay.core import recipe
from assay.core.config import Config, SerializeAsAny, Tree
from assay.data.split import SplitConfig
from assay.errors import UserError, nearest
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.tokenizer import TokenizerConfig

FEW_DOCUMENTS = 100  # fewer are cut by place, because their number alone cannot give the shares that are asked for


class TextSettings(Config):
    """The settings of an experiment that decide its tokens."""

    corpus: SerializeAsAny[CorpusConfig]
    split: SerializeAsAny[SplitConfig]
    tokenizer: SerializeAsAny[TokenizerConfig]


class Choice(NamedTuple):
    """A text and how it is to be split and cut into tokens."""

    settings: TextSettings
    corpus: Corpus
    origin: str  # where the settings are from


def choose(word: str, overrides: list[str], data_dir: Path | None, scale: str | None = None) -> Choice:
    """The text called `word`, loaded, with overrides applied; `scale` is one of the recipe's.

    Raises UserError for an unknown word and what loading raises.
    """
    tree, origin = _tree(word, scale)
    settings = TextSettings.make(recipe.override({"split": "hash", **tree}, overrides))
    corpus = settings.corpus.load(data_dir)
    if "split" not in tree:
        settings = TextSettings.make(recipe.override({"split": default_split(corpus), **tree}, overrides))
    return Choice(settings, corpus, origin)


def default_split(corpus: Corpus) -> Tree:
    """The split of a text for which no recipe says one."""
    if not corpus.separator:
        return {"kind": "contiguous", "exact": True}
    return {"kind": "contiguous" if len(corpus.documents) < FEW_DOCUMENTS else "hash"}


def _tree(word: str, scale: str | None) -> tuple[Tree, str]:
    """The settings that a word stands for, the split left out where nothing says it, and where they are from."""
    assert CorpusConfig.family is not None
    kinds = [*CorpusConfig.family.kinds]
    name = word if word in recipe.names() or word.endswith(".toml") else _recipe_of(word)
    if name is not None:
        tree = recipe.load(name, scale)
        return {key: tree[key] for key in TextSettings.model_fields if key in tree}, " ".join(filter(None, ("recipe", name, scale)))
    if scale is not None:
        raise UserError(f"--scale: '{word}' is no recipe, and only recipes have scales; leave it out")
    if word in kinds:
        return {"corpus": word, "tokenizer": "bpe"}, f"corpus {word}"
    if Path(word).exists() or Path(word).name != word or Path(word).suffix:
        return {"corpus": {"kind": "text", "path": word}, "tokenizer": "bpe"}, f"file {word}"
    known = [*recipe.names(), *kinds]
    raise UserError(f"'{word}' is neither a recipe, nor a corpus, nor a file here; {nearest(word, known)}")


def _recipe_of(kind: str) -> str | None:
    """The first recipe on a kind of corpus."""
    for name in recipe.names():
        corpus = recipe.load(name).get("corpus", {})
        if kind in (corpus, corpus.get("kind") if isinstance(corpus, dict) else None) and kind != "text":
            return name
    return None
