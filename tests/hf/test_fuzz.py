"""Whatever is in a transformers folder, the answer is its model or one sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.hf.model import load_hf_model
from support.fuzz import BYTES, MANY, accept_or_refuse, change, mutate, write_json

transformers = pytest.importorskip("transformers", reason="needs transformers, of the extra huggingface")
pytestmark = pytest.mark.filterwarnings("default")  # the library's own warnings are not ours
FILES = ("config.json", "tokenizer.json", "generation_config.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gpt2")
    config = transformers.GPT2Config(vocab_size=260, n_positions=16, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    transformers.GPT2LMHeadModel(config).save_pretrained(made / "whole")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={piece: number for number, piece in enumerate(["<|end|>", *alphabet])}, merges=[])
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.save(str(made / "whole" / "tokenizer.json"))
    return made


def read_changed(folder: Path, name: str, data: bytes) -> None:
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "whole", copy)
    (copy / name).write_bytes(data)
    accept_or_refuse(lambda: load_hf_model(copy))


def read_damaged(folder: Path, name: str, data: st.DataObject, changes: list[tuple[int, str, bytes]]) -> None:
    content = (folder / "whole" / name).read_bytes()
    whole: Any = json.loads(content)
    read_changed(folder, name, write_json(mutate(whole, data.draw)) if data.draw(st.integers(0, 3)) else change(content, changes))


@settings(max_examples=6)
@given(name=st.sampled_from(FILES), data=st.data(), changes=BYTES)
def test_damaged_folders(folder: Path, name: str, data: st.DataObject, changes: list[tuple[int, str, bytes]]) -> None:
    read_damaged(folder, name, data, changes)


@pytest.mark.slow
@MANY
@given(name=st.sampled_from(FILES), data=st.data(), changes=BYTES)
def test_many_damaged_folders(folder: Path, name: str, data: st.DataObject, changes: list[tuple[int, str, bytes]]) -> None:
    read_damaged(folder, name, data, changes)


@pytest.mark.parametrize("setting", [{"n_head": -1}, {"n_head": 0}, {"n_head": 3}, {"n_inner": -1}, {"n_embd": 2**40}, {"model_type": []}])
def test_sizes_that_make_no_model(folder: Path, setting: dict[str, Any]) -> None:
    config = json.loads((folder / "whole" / "config.json").read_text())
    read_changed(folder, "config.json", write_json({**config, **setting}))
