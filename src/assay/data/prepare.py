"""Prepare a text: load the corpus, split it, train the tokenizer on the training part, encode, and cache."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from assay.core.cache import get_or_build
from assay.core.files import name_file
from assay.core.trees import Tree, digest
from assay.data.leakage import Leakage, load_leakage
from assay.data.split import PARTS, PartName, SplitConfig
from assay.data.split_advice import advise_on_repeats
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.token_files import TokenizedPart, read_part, write_part
from assay.text.tokenizer import Tokenizer, TokenizerConfig, load_tokenizer

FORMAT = 3  # raised when the files, or the rules that fill them, change


@dataclass(frozen=True)
class CorpusInfo:
    """Facts about a corpus, without its text."""

    name: str
    licence: str
    source: str
    sha256: str  # of the raw text
    documents: int
    bytes: int  # of the raw text
    groups: tuple[str, ...]  # names of the groups, by the indices in the parts
    notes: tuple[str, ...]  # remarks for the reader on how it was loaded


@dataclass(frozen=True, eq=False)
class PreparedText:
    """A corpus, split into parts and tokenized."""

    corpus: CorpusInfo
    tokenizer: Tokenizer
    parts: dict[PartName, TokenizedPart]
    split_sha256: str  # of which document is in which part
    leakage: Leakage | None = None  # None where the text was not split
    split_warnings: tuple[str, ...] = ()  # of parts whose bytes are far from their shares
    repeats_advice: str = ""  # what to do with equal documents in several parts, where there are many

    @property
    def fingerprint(self) -> str:
        """sha256 of the text, the assignment of its documents and the tokenizer."""
        return digest([self.corpus.sha256, self.split_sha256, self.tokenizer.digest])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of its scores must know: shares that do not hold, and what leaks."""
        return (*self.split_warnings, *(() if self.leakage is None else self.leakage.warnings()))

    def raw_text(self, part: PartName) -> bytes:
        """Decode the raw text of a part: its documents, each followed by the newline that its end token, if any, stands for."""
        return self.tokenizer.decode(self.parts[part].tokens)

    def documents(self, part: PartName) -> Iterator[bytes]:
        """Iterate over the documents of a part, without the newlines that end tokens stand for."""
        raw, stops = self.raw_text(part), np.cumsum(self.parts[part].byte_sizes).tolist()
        for start, stop in zip([0, *stops], stops, strict=False):
            yield raw[start : stop - self.parts[part].has_end_tokens]


def prepare_text(corpus: CorpusConfig, split: SplitConfig, tokenizer: TokenizerConfig, data_dir: Path | None = None) -> PreparedText:
    """Prepare a text once; afterwards its tokens are mapped from the cache.

    Raises DataError when the text cannot be loaded, a part would be empty, or the cache cannot be written.
    """
    version = corpus.version(data_dir)
    key = digest([FORMAT, corpus.to_dict(), version, split.to_dict(), tokenizer.to_dict()])[:32]
    prepared = _read_prepared(
        get_or_build("prepared", key, lambda folder: _write_prepared(folder, corpus.load(data_dir), split, tokenizer))
    )
    leakage = load_leakage(digest([FORMAT, corpus.to_dict(), version, split.to_dict()]), prepared.documents)
    return replace(prepared, leakage=replace(leakage, advice=prepared.repeats_advice))


def _write_prepared(folder: Path, corpus: Corpus, split_config: SplitConfig, tokenizer_config: TokenizerConfig) -> None:
    """Split and encode a corpus into the files of a folder."""
    split = split_config.apply(corpus.documents, corpus.separator)
    tokenizer = tokenizer_config.train(split.documents["train"])
    tokenizer.save(folder / "tokenizer.json")
    names = tuple(dict.fromkeys(corpus.groups or ()))
    number = {name: index for index, name in enumerate(names)}
    parts: Tree = {}
    for part in PARTS:
        groups = None if corpus.groups is None else [number[corpus.groups[index]] for index in split.indices[part]]
        parts[part] = write_part(folder, part, split.documents[part], groups, tokenizer, corpus.separator)
    sizes = len(corpus.documents), corpus.byte_count
    facts = CorpusInfo(corpus.name, corpus.licence, corpus.source, corpus.sha256, *sizes, names, corpus.notes)
    meta = {"corpus": asdict(facts), "split_sha256": split.sha256(), "split_warnings": split.warnings, "parts": parts}
    meta["repeats_advice"] = advise_on_repeats(split_config, split, corpus.documents)
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _read_prepared(folder: Path) -> PreparedText:
    with name_file(folder / "meta.json"):
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    facts = meta["corpus"]
    return PreparedText(
        corpus=CorpusInfo(**{**facts, "groups": tuple(facts["groups"]), "notes": tuple(facts["notes"])}),
        tokenizer=load_tokenizer(folder / "tokenizer.json"),
        parts={part: read_part(folder, part, meta["parts"][part]) for part in PARTS},
        split_sha256=meta["split_sha256"],
        split_warnings=tuple(meta["split_warnings"]),
        repeats_advice=meta["repeats_advice"],
    )
