"""enwik8: the first 10^8 bytes of the English Wikipedia of March 2006, as one contiguous text.

The text of the Large Text Compression Benchmark (Mahoney, mattmahoney.net/dc) and of character-level language modelling,
where `split=contiguous` with `exact` gives the usual 90, 5 and 5 million bytes. It is checked against its
known hash, so the content is the same everywhere.
"""

import hashlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Literal

from assay.core.cache import get_or_build
from assay.core.config import setting
from assay.errors import DataError
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.decompression import COMPRESSIONS, read_file
from assay.text.files import download, find_own_file

NAME = "enwik8"
SIZE = 10**8  # bytes
SHA256 = "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8"
URL = "http://mattmahoney.net/dc/enwik8.zip"
ARTICLE = re.compile(rb"^  <page>$", re.MULTILINE)


class Enwik8Config(CorpusConfig):
    """The file `enwik8`, packed or not, from the current folder or the data folder, else downloaded into the cache.

    Its documents are the articles, each from its line `  <page>` to the next, and what comes before the first; joined they
    are the file, and no end token stands between them. Of fewer `bytes` the last article is cut.
    """

    kind: Literal["enwik8"] = "enwik8"
    path: str = setting(
        NAME, "the file, or its name somewhere in the data folder", alternative="enwik8.zip", affects="report", min_length=1
    )
    bytes: int = setting(SIZE, "how many of its first bytes to take", alternative=10**3, affects="data", gt=0, le=SIZE)
    url: str = setting(URL, "where to download it from, packed or not", affects="report", pattern=r"^https?://\S+$")

    def load(self, data_dir: Path | None) -> Corpus:
        """Load the text. Raises DataError when it can be neither found nor downloaded, and when the file is another text."""
        file = find_own_file(self.path, NAME, data_dir, self.url)
        text = read_verified(file or self._download())[: self.bytes]
        starts = [match.start() for match in ARTICLE.finditer(text)]
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
        """Return the known hash of the whole file, so the file is not needed once the tokens are in the cache."""
        return SHA256

    def _download(self) -> Path:
        """Download the file into the cache, packed as it is, unless it is there."""
        packing = Path(self.url).suffix.lower()
        name = NAME + (packing if packing in COMPRESSIONS else "")
        instead = f"get {NAME} some other way and put it, packed or not, into {Path.cwd()} or a folder named with --data-dir DIR"

        def fetch(folder: Path) -> None:
            download(self.url, folder / name, instead)
            try:
                read_verified(folder / name)
            except DataError:
                raise DataError(f"corpus.url: {self.url} gave a damaged file, or another than {NAME}; try again, or {instead}") from None

        return get_or_build(NAME, f"{SHA256[:32]}{packing}", fetch) / name


def read_verified(file: Path) -> bytes:
    """Read the file, unpacked. Raises DataError when it is unreadable, damaged or not enwik8."""
    text = read_file(file).data
    digest = hashlib.sha256(text).hexdigest()
    if digest != SHA256:
        raise DataError(
            f"corpus {NAME}: {file} is not {NAME} (sha256 {digest[:12]}, expected {SHA256[:12]}); "
            f"put the right file there, or take it away to have {NAME} downloaded"
        )
    return text
