"""A transformers model is scored as a model of our own: equal to a loop with the library alone."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file

from assay.errors import DataError, UserError
from assay.evaluation.protocol import Protocol
from assay.evaluation.readers import WindowReader
from assay.evaluation.score import Score, Scorer
from assay.hf.model import TransformersTokenizer, encode_documents, load_hf_model

transformers = pytest.importorskip("transformers", reason="needs transformers, of the extra huggingface")
pytestmark = pytest.mark.filterwarnings("default")  # the library's own warnings are not ours

TEXT = "In the beginning was the wörd — 言葉 —\n\n  and the word 🙂 was <|end|> with naïve <s> façades.\n" * 3
RAW = TEXT.encode()
VOCABULARY = 300


def gpt2_tokenizer() -> tokenizers.Tokenizer:
    """Byte pairs of bytes, as GPT-2's and LLaMA 3's."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([TEXT], trainer)
    return made


def llama_tokenizer() -> tokenizers.Tokenizer:
    """Byte pairs of characters with bytes to fall back on and a space put before the text, as LLaMA's and LLaMA 2's."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁Inthebgiwasrd", "▁t", "he", "▁the"]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    model = tokenizers.models.BPE(
        vocab=vocabulary, merges=[("▁", "t"), ("h", "e"), ("▁t", "he")], unk_token="<unk>", byte_fallback=True, fuse_unk=True
    )
    made = tokenizers.Tokenizer(model)
    made.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")])
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


def save(folder: Path, kind: str) -> Path:
    """A tiny random model and its tokenizer in a folder."""
    torch.manual_seed(1)
    shared = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
    if kind == "gpt2":
        config = transformers.GPT2Config(**shared, n_positions=64, n_embd=16, n_layer=2, n_head=2, initializer_range=0.4)
        model, tokenizer = transformers.GPT2LMHeadModel(config), gpt2_tokenizer()
    else:
        shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
        config = transformers.LlamaConfig(
            **{**shared, "bos_token_id": 1, "eos_token_id": 2}, **shape, max_position_embeddings=64, initializer_range=0.4
        )
        model, tokenizer = transformers.LlamaForCausalLM(config), llama_tokenizer()
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: save(tmp_path_factory.mktemp(kind), kind) for kind in ("gpt2", "llama")}


def score(folder: Path, context: int, stride: int, documents: list[bytes] | None = None, separator: bytes = b"") -> Score:
    model, tokenizer = load_hf_model(folder)
    part = encode_documents(tokenizer, [RAW] if documents is None else documents, separator)
    protocol = Protocol("text", part.sha256, "", tokenizer.digest, "strided", context, stride, 0, False, "float32", None, "")
    return Scorer(WindowReader(part, tokenizer.start, context, stride, False), tokenizer, protocol, torch.device("cpu")).score(model)


def loop(folder: Path, context: int, stride: int) -> float:
    """Bits per byte with the library alone, a window at a time."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    if model.config.model_type == "gpt2":
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer.normalizer = tokenizers.normalizers.Replace(" ", "▁")
    ids = [model.config.bos_token_id, *tokenizer.encode(TEXT, add_special_tokens=False).ids]
    nats = 0.0
    for begin in range(0, len(ids) - 1, stride):
        end = min(begin + stride, len(ids) - 1)
        first = max(0, end - context)
        with torch.no_grad():
            likely = model(torch.tensor([ids[first:end]])).logits[0].double().log_softmax(-1)
        nats -= sum(float(likely[i - first, ids[i + 1]]) for i in range(begin, end))
    return nats / (len(RAW) * math.log(2))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize(("context", "stride"), [(64, 64), (32, 7), (1, 1)])
def test_equals_a_loop_with_the_library_alone(folders: dict[str, Path], kind: str, context: int, stride: int) -> None:
    scored = score(folders[kind], context, stride)
    assert scored.bits_per_byte == pytest.approx(loop(folders[kind], context, stride), abs=1e-6)
    assert scored.bytes_scored == len(RAW)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_every_byte_comes_back_and_is_counted_once(folders: dict[str, Path], kind: str) -> None:
    model, tokenizer = load_hf_model(folders[kind])
    lines = [line.encode() for line in TEXT.split("\n")]
    part = encode_documents(tokenizer, lines, b"\n")
    assert tokenizer.decode(part.tokens) == b"".join(line + b"\n" for line in lines)
    assert part.byte_count == int(tokenizer.byte_lengths[part.tokens].sum())
    assert [tokenizer.decode(part.document(index)) for index in range(part.document_count)] == [line + b"\n" for line in lines]
    assert tokenizer.vocab_size == model.vocabulary == VOCABULARY


def test_words_that_spell_special_tokens_are_text(folders: dict[str, Path]) -> None:
    _, tokenizer = load_hf_model(folders["gpt2"])
    (ids,) = tokenizer.encode([b"a <|end|> b"])
    assert tokenizer.start not in ids
    assert tokenizer.decode(ids) == b"a <|end|> b"


def test_a_tokenizer_that_changes_text_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    lossy = gpt2_tokenizer()
    lossy.normalizer = tokenizers.normalizers.Lowercase()
    lossy.save(str(tmp_path / "tokenizer.json"))
    tokenizer = TransformersTokenizer(tmp_path / "tokenizer.json", VOCABULARY, 0)
    with pytest.raises(DataError, match=r"changes the text.*byte 4 of document 1, b'Word' comes back as b'word'"):
        encode_documents(tokenizer, [b"fine", b"the Word"], b"")


def test_what_is_not_utf8_and_what_is_empty_is_refused(folders: dict[str, Path]) -> None:
    _, tokenizer = load_hf_model(folders["gpt2"])
    with pytest.raises(DataError, match="byte 2 of the text is not UTF-8"):
        encode_documents(tokenizer, [b"ab\xff"], b"")
    with pytest.raises(DataError, match="the text is empty"):
        encode_documents(tokenizer, [b""], b"")


def changed(folder: Path, tmp_path: Path, name: str, **values: Any) -> Path:
    """A copy of a folder with other values at the top of one of its files."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tree = json.loads((tmp_path / name).read_text())
    (tmp_path / name).write_text(json.dumps({**tree, **values}))
    return tmp_path


def test_other_formats_are_refused_with_what_is_read(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a model of type 'bert'; those of type gpt2 and llama are read"):
        load_hf_model(changed(folders["gpt2"], tmp_path, "config.json", model_type="bert"))
    with pytest.raises(UserError, match="holds a tokenizer of type Unigram"):
        load_hf_model(changed(folders["gpt2"], tmp_path, "tokenizer.json", model={"type": "Unigram"}))


def test_a_tokenizer_of_another_model_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    added = {"id": VOCABULARY + 5, "content": "<new>", "special": True}
    with pytest.raises(UserError, match=f"has token {VOCABULARY + 5}, and the model knows {VOCABULARY}"):
        load_hf_model(changed(folders["gpt2"], tmp_path, "tokenizer.json", added_tokens=[added]))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing"):
        load_hf_model(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is not a config"):
        load_hf_model(tmp_path)


def test_weights_that_are_missing_or_damaged_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = changed(folders["gpt2"], tmp_path, "config.json")
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor for name, tensor in weights.items() if "h.1.mlp" not in name}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"holds no weights called transformer\.h\.1\.mlp"):
        load_hf_model(folder)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        load_hf_model(folder)


def test_the_model_has_no_dropout_and_its_logits_are_the_librarys(folders: dict[str, Path]) -> None:
    model, _ = load_hf_model(folders["gpt2"])
    tokens = torch.arange(12).view(2, 6)
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, model.network(input_ids=tokens).logits)
    assert not model.training
    assert np.isfinite(model(tokens).logits.detach().numpy()).all()


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("config.json", {"bos_token_id": 50256}, "bos_token_id = 50256, and the model knows 300 tokens"),
        ("config.json", {"bos_token_id": -1}, "bos_token_id = -1, and the model knows"),
        ("config.json", {"bos_token_id": None, "eos_token_id": [999]}, "eos_token_id = 999"),
        ("config.json", {"bos_token_id": "x"}, "cannot be read"),
        ("config.json", {"vocab_size": "x"}, "cannot be read"),
        ("config.json", {"n_layer": -1}, "n_layer = -1, which is not from 0"),
        ("config.json", {"n_layer": 10**9}, "n_layer = 1000000000, which is not from 0 to 10,000"),
        ("config.json", {"auto_map": {"AutoModelForCausalLM": "evil.Evil"}}, "code of its own .*never run"),
        ("tokenizer.json", {"model": {"type": "BPE"}}, "is no tokenizer that can be read"),
        ("tokenizer.json", {"model": None}, "is no tokenizer that can be read"),
        ("tokenizer.json", {"added_tokens": [{}]}, "is no tokenizer that can be read"),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused_in_a_sentence(
    folders: dict[str, Path], tmp_path: Path, name: str, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says) as refused:
        load_hf_model(changed(folders["gpt2"], tmp_path, name, **values))
    assert "\n" not in str(refused.value)


def test_the_first_of_several_end_tokens_begins_a_text(folders: dict[str, Path], tmp_path: Path) -> None:
    _, tokenizer = load_hf_model(changed(folders["gpt2"], tmp_path, "config.json", bos_token_id=None, eos_token_id=[7, 0]))
    assert tokenizer.start == 7
