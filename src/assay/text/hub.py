"""Data sets of the Hugging Face hub and parquet files, by the libraries of the extra `hub`: `datasets` and `pyarrow`."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from assay.errors import DataError
from assay.text.packing import Unpacked

INSTALL = "pip install 'assay[hub]'"
CONNECT = 10.0  # seconds for the hub's first answer
BATCH = 2**14  # rows of a parquet file in memory at once, besides the text they give


class Drawn(NamedTuple):
    """Texts that were drawn from a data set."""

    texts: list[str | None]
    rows: int  # of the data set
    revision: str  # commit on the hub, or a hash of the files of a local folder


def parquet_column(file: Unpacked, column: str) -> Iterator[bytes | None]:
    """The bytes of one column, row by row; None where a row has none.

    Raises DataError when pyarrow is missing, the file is damaged, or the column is missing or holds no text.
    """
    try:
        import pyarrow  # noqa: PLC0415  optional
        from pyarrow import parquet, types  # noqa: PLC0415
    except ImportError:
        raise DataError(f"corpus.path: {file.place} needs pyarrow, which is not installed; run: {INSTALL}") from None
    try:
        opened = parquet.ParquetFile(pyarrow.BufferReader(file.data))
        schema = opened.schema_arrow
        if column not in schema.names:
            raise DataError(
                f"corpus.field: {file.place} has no column '{column}' (its columns: {', '.join(schema.names)}); "
                "name the column that holds the text with corpus.field"
            )
        kind = schema.field(column).type
        content = kind.value_type if types.is_dictionary(kind) else kind
        if not any(is_text(content) for is_text in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)):
            raise DataError(f"corpus.field: column '{column}' of {file.place} holds {kind}, no text; name another column with corpus.field")
        for batch in opened.iter_batches(batch_size=BATCH, columns=[column]):
            plain = batch.column(0).cast(content)
            yield from plain.cast(pyarrow.large_binary()).to_pylist()  # as bytes, which need not be UTF-8
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"corpus.path: {file.place} cannot be read as parquet ({_first_line(error)}); get an undamaged copy") from None


def draw(name: str, column: str, count: int, seed: int, instead: str) -> Drawn:
    """`count` texts of a data set's training part in the order that `load_dataset(name).shuffle(seed).take(count)` gives.

    All are drawn where there are fewer. Raises DataError, which says what to do `instead`, when `datasets` is missing, or the
    data set cannot be had, or it has no such column of texts.
    """
    try:
        import datasets  # noqa: PLC0415  optional, and a second to import
    except ImportError:
        raise DataError(f"corpus.hub: {name} is fetched by the package datasets, which is missing; run: {INSTALL}, or {instead}") from None
    try:
        commit = revision(name)
        data = datasets.load_dataset(name, split="train", revision=None if is_folder(name) else commit)
        order = shuffled(len(data), count, seed)
        texts = data.select_columns([column]).select(order, keep_in_memory=True)[:][column]
    except Exception as error:  # it passes on what its readers and its network client raise, which have no base in common
        cause = f"{type(error).__name__}: {_first_line(error)}"
        raise DataError(f"corpus.hub: {name} cannot be had from the hub ({cause}); {instead}") from error
    if not all(text is None or isinstance(text, str) for text in texts):
        raise DataError(f"corpus.hub: column '{column}' of {name} holds no text; name another data set, or {instead}")
    return Drawn(texts, len(data), commit)


def revision(name: str) -> str:
    """What the content of a data set depends on: the commit that the hub has now, or a hash of a local folder's files.

    The hub is asked once and not again and again, as `load_dataset` does for 23 seconds without a network. Where
    HF_HUB_OFFLINE forbids asking, it is the commit that is in the hub's own cache.
    """
    import datasets  # noqa: PLC0415  see above
    from huggingface_hub import HfApi  # noqa: PLC0415

    if is_folder(name) or datasets.config.HF_HUB_OFFLINE:
        return str(datasets.load_dataset_builder(name).hash)
    return str(HfApi().dataset_info(name, timeout=CONNECT).sha)


def shuffled(rows: int, count: int, seed: int) -> list[int]:
    """The first `count` of as many rows, in the order that `datasets` shuffles them in."""
    order: list[int] = np.random.default_rng(seed).permutation(rows)[:count].tolist()
    return order


def is_folder(name: str) -> bool:
    """Whether a data set is a folder of the current one, which the library prefers to the hub."""
    return Path(name).is_dir()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")
