"""enwik8: the first 10^8 bytes of the English Wikipedia of March 2006, as one contiguous text.

The text of the Large Text Compression Benchmark (Mahoney, mattmahoney.net/dc) and of character-level language modelling,
where `split=contiguous` with `exact` gives the usual 90, 5 and 5 million bytes. Whatever it came by, it is checked against
its known hash, so the content is one and the same everywhere.
"""

import hashlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Literal

from assay.core.config import setting
from assay.errors import DataError
from assay.text.cache import cached
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.download import download
from assay.text.files import look, missing
from assay.text.packing import PACKINGS, read

NAME = "enwik8"
SIZE = 10**8  # bytes
SHA256 = "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8"
ADDRESS = "http://mattmahoney.net/dc/enwik8.zip"
ARTICLE = re.compile(rb"^  <page>$", re.MULTILINE)


class Enwik8Config(CorpusConfig):
    """The file `enwik8`, packed or not, from the current folder or the data folder, else downloaded into the cache.

    Its documents are the articles, each from its line `  <page>` to the next, and what comes before the first; joined they
    are the file, and no end token stands between them. Of fewer `bytes` the last article is cut.
    """

    kind: Literal["enwik8"] = "enwik8"
    path: str = setting(NAME, "the file, or its name somewhere in the data folder", other="enwik8.zip", bites="report", min_length=1)
    bytes: int = setting(SIZE, "how many of its first bytes to take", other=10**3, bites="data", gt=0, le=SIZE)
    url: str = setting(ADDRESS, "where to download it from, packed or not", bites="report", pattern=r"^https?://\S+$")

    def load(self, data_dir: Path | None) -> Corpus:
        """Raises DataError when it is neither found nor to be downloaded, and when what is found is something else."""
        file = look(self.path, data_dir)
        if file is None and self.path != NAME:
            raise missing(self.path, data_dir, self.url)
        text = verified(file or self._downloaded())[: self.bytes]
        starts = [found.start() for found in ARTICLE.finditer(text)]
        cuts = sorted({0, *starts, len(text)})
        return Corpus(
            name=NAME,
            documents=[text[start:stop] for start, stop in pairwise(cuts)],
            groups=None,
            licence="GFDL / CC BY-SA",
            source=self.url,
            separator=b"",
            notes=(f"the first {self.bytes:,} of {SIZE:,} bytes",) if self.bytes < SIZE else (),
        )

    def version(self, data_dir: Path | None) -> str:
        """The hash that the whole file has wherever it lies, so it need not be there once the tokens are in the cache."""
        return SHA256

    def _downloaded(self) -> Path:
        """The file in the cache, packed as it came."""
        packing = Path(self.url).suffix.lower()
        name = NAME + (packing if packing in PACKINGS else "")
        instead = f"get {NAME} some other way and put it, packed or not, into {Path.cwd()} or a folder named with --data-dir DIR"

        def fetch(folder: Path) -> None:
            download(self.url, folder / name, instead)
            try:
                verified(folder / name)
            except DataError:
                raise DataError(f"corpus.url: {self.url} gave a damaged file, or another than {NAME}; try again, or {instead}") from None

        return cached(NAME, f"{SHA256[:32]}{packing}", fetch) / name


def verified(file: Path) -> bytes:
    """The file, unpacked. Raises DataError when it is unreadable, damaged or not enwik8."""
    text = read(file).data
    found = hashlib.sha256(text).hexdigest()
    if found != SHA256:
        raise DataError(
            f"corpus {NAME}: {file} is not {NAME} (sha256 {found[:12]}, expected {SHA256[:12]}); "
            f"put the right file there, or take it away to have {NAME} downloaded"
        )
    return text
