"""From configs to tokens: load the corpus, split it, train the tokenizer on the training part, encode, and cache."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from assay.core.config import Tree, digest
from assay.data.leakage import Leakage, cached_leakage
from assay.data.split import PARTS, PartName, SplitConfig
from assay.text.cache import cached
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.store import Part, read_part, write_part
from assay.text.tokenizer import Tokenizer, TokenizerConfig, load_tokenizer

FORMAT = 2  # raised when the files, or the rules that fill them, change


@dataclass(frozen=True)
class CorpusFacts:
    """What is known of a corpus without its text."""

    name: str
    licence: str
    source: str
    sha256: str  # of the raw text
    documents: int
    bytes: int  # of the raw text
    groups: tuple[str, ...]  # names of the groups that the parts' indices mean
    notes: tuple[str, ...]  # what a person should know of how the text was had


@dataclass(frozen=True, eq=False)
class Prepared:
    """A corpus, split and tokenized."""

    corpus: CorpusFacts
    tokenizer: Tokenizer
    parts: dict[PartName, Part]
    split_sha256: str  # of which document is in which part
    leakage: Leakage | None = None  # None where nothing was split

    @property
    def fingerprint(self) -> str:
        """sha256 of the text, the assignment of its documents and the tokenizer."""
        return digest([self.corpus.sha256, self.split_sha256, self.tokenizer.digest])

    def raw(self, part: PartName) -> bytes:
        """The raw text of a part: its documents, each followed by the newline that its end token, if any, stands for."""
        return self.tokenizer.decode(self.parts[part].tokens)

    def text(self, part: PartName) -> Iterator[bytes]:
        """The documents of a part, without the newlines that end tokens stand for."""
        raw, stops = self.raw(part), np.cumsum(self.parts[part].sizes).tolist()
        for start, stop in zip([0, *stops], stops, strict=False):
            yield raw[start : stop - self.parts[part].ends]


def prepare(corpus: CorpusConfig, split: SplitConfig, tokenizer: TokenizerConfig, data_dir: Path | None = None) -> Prepared:
    """The tokens of a text, made once and mapped from the cache afterwards.

    Raises DataError when the text cannot be had, a part would be empty, or the cache cannot be written.
    """
    version = corpus.version(data_dir)
    key = digest([FORMAT, corpus.tree(), version, split.tree(), tokenizer.tree()])[:32]
    prepared = _read(cached("prepared", key, lambda folder: _write(folder, corpus.load(data_dir), split, tokenizer)))
    return replace(prepared, leakage=cached_leakage(digest([FORMAT, corpus.tree(), version, split.tree()]), prepared.text))


def _write(folder: Path, corpus: Corpus, split_config: SplitConfig, tokenizer_config: TokenizerConfig) -> None:
    split = split_config.apply(corpus.documents, corpus.separator)
    tokenizer = tokenizer_config.train(split.documents["train"])
    tokenizer.save(folder / "tokenizer.json")
    names = tuple(dict.fromkeys(corpus.groups or ()))
    number = {name: index for index, name in enumerate(names)}
    parts: Tree = {}
    for part in PARTS:
        groups = None if corpus.groups is None else [number[corpus.groups[index]] for index in split.indices[part]]
        parts[part] = write_part(folder, part, split.documents[part], groups, tokenizer, corpus.separator)
    facts = CorpusFacts(
        name=corpus.name,
        licence=corpus.licence,
        source=corpus.source,
        sha256=corpus.sha256,
        documents=len(corpus.documents),
        bytes=corpus.byte_count,
        groups=names,
        notes=corpus.notes,
    )
    meta = {"corpus": asdict(facts), "split_sha256": split.sha256(), "parts": parts}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _read(folder: Path) -> Prepared:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    facts = meta["corpus"]
    return Prepared(
        corpus=CorpusFacts(**{**facts, "groups": tuple(facts["groups"]), "notes": tuple(facts["notes"])}),
        tokenizer=load_tokenizer(folder / "tokenizer.json"),
        parts={part: read_part(folder, part, meta["parts"][part]) for part in PARTS},
        split_sha256=meta["split_sha256"],
    )
