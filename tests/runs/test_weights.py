"""The weights of a checkpoint are counted by its header."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from assay.runs.weights import count_weights

ZEROS = b"\0" * 7  # the rest of a length of 8 bytes
CONTENTS = [b"", b"\xff" * 20, b"\2" + ZEROS + b"[]", b"\x09" + ZEROS + b'{"a": {}}', b"\5" + ZEROS + b"{"]


def test_the_values_of_all_tensors_are_counted(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5), "c": torch.zeros(())}, tmp_path / "w.safetensors", {"format": "pt"})
    assert count_weights(tmp_path / "w.safetensors") == 12 + 5 + 1


@pytest.mark.parametrize("content", CONTENTS)
def test_a_damaged_file_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        count_weights(tmp_path / "w")
