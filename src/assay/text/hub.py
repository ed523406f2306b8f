"""Fetch texts from data sets of the Hugging Face hub, by the library `datasets` of the extra `hub`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from assay.core.install import write_assay_line
from assay.core.words import shorten
from assay.errors import DataError

CONNECT = 10.0  # seconds for the hub's first answer


class DatasetSample(NamedTuple):
    """Texts that were drawn from a data set."""

    texts: list[str | None]
    rows: int  # of the data set
    revision: str  # commit on the hub, or a hash of the files of a local folder


def sample_dataset(name: str, column: str, count: int, seed: int, instead: str) -> DatasetSample:
    """Draw `count` texts of a data set's training part in the order that `load_dataset(name).shuffle(seed).take(count)` gives.

    All are drawn where there are fewer. Raises DataError, which says what to do `instead`, when `datasets` is missing, or the
    data set cannot be had, or it has no such column of texts.
    """
    try:
        import datasets  # noqa: PLC0415  optional, and a second to import
    except ImportError:
        raise DataError(
            f"corpus.hub: {name} is fetched by the package datasets, which is missing; run: {write_assay_line('hub')}, or {instead}"
        ) from None
    try:
        commit = fetch_revision(name)
        data = datasets.load_dataset(name, split="train", revision=None if is_local_folder(name) else commit)
        order = shuffle_rows(len(data), count, seed)
        texts = data.select_columns([column]).select(order, keep_in_memory=True)[:][column]
    except Exception as error:  # it passes on what its readers and its network client raise, which have no base in common
        cause = f"{type(error).__name__}: {shorten(str(error))}"
        raise DataError(f"corpus.hub: {name} cannot be had from the hub ({cause}); {instead}") from error
    if not all(text is None or isinstance(text, str) for text in texts):
        raise DataError(f"corpus.hub: column '{column}' of {name} holds no text; name another data set, or {instead}")
    return DatasetSample(texts, len(data), commit)


def fetch_revision(name: str) -> str:
    """Fetch what the content of a data set depends on: the commit that the hub has now, or a hash of a local folder's files.

    The hub is asked once; `load_dataset` asks for 23 seconds without a network. Where HF_HUB_OFFLINE forbids asking, it is the
    commit in the hub's own cache.
    """
    import datasets  # noqa: PLC0415  see above
    from huggingface_hub import HfApi  # noqa: PLC0415

    if is_local_folder(name) or datasets.config.HF_HUB_OFFLINE:
        return str(datasets.load_dataset_builder(name).hash)
    return str(HfApi().dataset_info(name, timeout=CONNECT).sha)


def shuffle_rows(rows: int, count: int, seed: int) -> list[int]:
    """Draw the first `count` of as many rows, in the order that `datasets` shuffles them in."""
    order: list[int] = np.random.default_rng(seed).permutation(rows)[:count].tolist()
    return order


def is_local_folder(name: str) -> bool:
    """Whether a data set is a folder on this machine, which the library prefers to the hub."""
    return Path(name).is_dir()
