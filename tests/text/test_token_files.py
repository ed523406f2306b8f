"""Parts: documents that are joined in memory are what is written and read back."""

from pathlib import Path

import numpy as np
import pytest

from assay.errors import DataError
from assay.text.piece_tokenizers import ByteTokenizer
from assay.text.token_files import make_part, read_part, write_part

DOCUMENTS = [b"In the beginning", b"", b"was the word"]


def test_a_part_in_memory_equals_the_one_on_disk(tmp_path: Path) -> None:
    tokenizer = ByteTokenizer()
    on_disk = read_part(tmp_path, "train", write_part(tmp_path, "train", DOCUMENTS, [0, 1, 0], tokenizer))
    ids = [np.append(tokens, tokenizer.end_id) for tokens in tokenizer.encode(DOCUMENTS)]
    made = make_part(DOCUMENTS, b"\n", ids, [0, 1, 0], has_end_tokens=True)
    for name in ("tokens", "offsets", "byte_sizes", "groups"):
        assert np.array_equal(getattr(made, name), getattr(on_disk, name)), name
    assert (made.sha256, made.has_end_tokens) == (on_disk.sha256, on_disk.has_end_tokens)


def test_a_text_without_tokens_is_refused() -> None:
    with pytest.raises(DataError, match="the text is empty"):
        make_part([b""], b"", [np.array([], np.uint16)])
