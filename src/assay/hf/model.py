"""Load a local `transformers` model, GPT-2 or LLaMA, with its tokenizer, so that it is scored like one of Assay's own.

The library's own module computes the hidden states and its own output matrix reads them, so nothing is translated and nothing can be
translated wrongly; a probe compares the logits with the library's. Nothing is downloaded and no code of the folder's is run.

The text is read as the model was trained to read it: all of its bytes as tokens of text, newlines included, after one start token, which
is not scored. A model of Assay's sees an end token where a document's newline is; here the newline is a newline.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from torch import Tensor, nn

from assay.core.files import name_file
from assay.core.install import write_assay_line
from assay.core.trees import Tree
from assay.core.types import Output, State
from assay.core.words import shorten
from assay.errors import UserError
from assay.models.base import Model
from assay.text.bpe import BYTE_OF_LETTER, spell_byte_level
from assay.text.spelling import check_spelling, not_utf8_error, spell_sentencepiece
from assay.text.token_files import TokenizedPart, make_part
from assay.text.tokenizer import Ids, Tokenizer

FORMATS = ("gpt2", "llama")
MAX_SIZE, MAX_LAYERS = 2**24, 10_000  # of a number in config.json
HEADS = ("n_head", "num_attention_heads", "num_key_value_heads")
LAYERS = ("n_layer", "num_hidden_layers")
PROBE_LENGTH = 8  # tokens on which the logits are compared
PROBE_TOLERANCE = 1e-4  # rounding only


class TransformersModel(Model):
    """A causal model of the library, without state: rows are read whole."""

    def __init__(self, network: nn.Module, vocabulary: int, length: int) -> None:
        super().__init__()
        self.network, self.vocabulary, self._length = network, vocabulary, length
        self.head = network.get_output_embeddings()  # type: ignore[operator]  # a method that the library's stubs do not know
        self.width = int(self.head.weight.shape[1])

    @property
    def max_length(self) -> int:
        return self._length

    @property
    def masks_documents(self) -> bool:
        return False

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        hidden = self.network.base_model(input_ids=tokens, use_cache=False).last_hidden_state  # type: ignore[operator]
        return Output(hidden, self.head, None, {}, {})


class TransformersTokenizer(Tokenizer):
    """The tokenizer of a tokenizer.json, without the tokens and the space that it would put around a text.

    `start` is the token before the first one of a text; it is in no text.
    """

    def __init__(self, file: Path, vocabulary: int, start: int) -> None:
        self.file, self.start = file, start
        try:
            tree = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(tree, dict) or "model" not in tree:
                raise UserError(f"--hf: {file} holds no model of a tokenizer; save the tokenizer there again")
            tree = _remove_additions(tree)
            self.token_bytes = _spell_vocabulary(tree, vocabulary, file)
            self._library = tokenizers.Tokenizer.from_str(json.dumps(tree))
        except UserError:
            raise
        except Exception as broken:  # of any sort: the file is of another program, and so is the library
            raise UserError(f"--hf: {file} is no tokenizer that can be read ({shorten(str(broken))}); save it there again") from None
        self._library.encode_special_tokens = True  # what spells a special token is text

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Encode each document. Raises DataError where its ids do not spell it."""
        try:
            texts = [document.decode("utf-8") for document in documents]
        except UnicodeDecodeError as error:
            raise not_utf8_error(error) from None
        ids = [np.array(encoded.ids, self.dtype) for encoded in self._library.encode_batch(texts, add_special_tokens=False)]
        check_spelling(self, documents, ids, f"{self.file}: ")
        return ids

    def to_dict(self) -> Tree:
        """The kind and the hash of the file."""
        return {"kind": "transformers", "sha256": hashlib.sha256(self.file.read_bytes()).hexdigest()}


def load_hf_model(folder: Path) -> tuple[TransformersModel, TransformersTokenizer]:
    """Load the model and the tokenizer in a folder. Raises UserError where there is none of a known format."""
    config = _read_config(folder)
    network = _load_network(folder)
    length = _read_size(config, folder, ("n_positions", "max_position_embeddings"))
    vocabulary = _read_size(config, folder, ("vocab_size",))
    start = _find_start(config, vocabulary, folder)
    model = TransformersModel(network, vocabulary, length).eval()
    with torch.inference_mode():
        probe = torch.arange(min(PROBE_LENGTH, vocabulary, length)).unsqueeze(0)
        apart = float((model(probe).logits - network(input_ids=probe).logits).abs().max())
    if not apart <= PROBE_TOLERANCE:
        raise UserError(
            f"--hf: {folder}: its logits are not its output matrix times its hidden states (they differ by {apart:.3g}); not read"
        )
    return model, TransformersTokenizer(folder / "tokenizer.json", vocabulary, start)


def encode_documents(
    tokenizer: Tokenizer, documents: Sequence[bytes], separator: bytes, groups: Sequence[int] | None = None
) -> TokenizedPart:
    """Encode documents, each with its separator as text. Raises DataError for an empty text or a tokenizer that changes it."""
    return make_part(documents, separator, tokenizer.encode([document + separator for document in documents]), groups)


def _read_config(folder: Path) -> dict[str, Any]:
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise UserError(f"--hf: {folder / name} is missing; save model and (fast) tokenizer there with save_pretrained")
    try:
        with name_file(folder / "config.json"):
            config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"--hf: {folder / 'config.json'} is not a config of a transformers model; save the model there again") from None
    if kind not in FORMATS:
        raise UserError(f"--hf: {folder} holds a model of type '{kind}'; those of type {' and '.join(FORMATS)} are read")
    if "auto_map" in config:
        raise UserError(f"--hf: {folder} asks for code of its own (auto_map in config.json), which is never run; remove it there")
    for key, value in config.items():  # before the library makes tensors or layers of that size
        most = MAX_LAYERS if key in LAYERS else MAX_SIZE
        least = 0 if key in (*LAYERS, *HEADS) else -most
        if isinstance(value, int) and not least <= value <= most:
            raise UserError(f"--hf: {folder / 'config.json'} says {key} = {value}, which is not from {least:,} to {most:,}; correct it")
    return config


def _read_size(config: Mapping[str, Any], folder: Path, names: Sequence[str]) -> int:
    """Read the first of these sizes that a config has. Raises UserError for none."""
    for name in names:
        if isinstance(value := config.get(name), int) and not isinstance(value, bool) and value > 0:
            return value
    raise UserError(f"--hf: {folder / 'config.json'} has no {' or '.join(names)} above 0; save the model there again")


def _load_network(folder: Path) -> nn.Module:
    try:
        import transformers  # noqa: PLC0415 (optional, and slow to import)
    except ImportError:
        raise UserError(f"--hf: needs transformers; install it with: {write_assay_line('huggingface')}") from None
    transformers.utils.logging.disable_progress_bar()
    try:
        loaded, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    except Exception as broken:  # of any sort: the files are of another program, and so is the library
        raise UserError(
            f"--hf: the model in {folder} cannot be read: {shorten(' '.join(str(broken).split()))}; save it there again"
        ) from None
    if missing := sorted(info["missing_keys"]):  # the library would fill them at random
        raise UserError(f"--hf: {folder} holds no weights called {missing[0]} ({len(missing)} are missing); save the model there again")
    network: nn.Module = loaded.float()
    return network


def _find_start(config: Mapping[str, Any], vocabulary: int, folder: Path) -> int:
    """Find the id that a text begins with: the start token or, where the format has none, the first end token."""
    for name in ("bos_token_id", "eos_token_id"):
        ids = config.get(name)
        token = ids[0] if isinstance(ids, list) and ids else ids
        if isinstance(token, int) and not isinstance(token, bool):
            if not 0 <= token < vocabulary:
                raise UserError(
                    f"--hf: {folder / 'config.json'} says {name} = {token}, and the model knows {vocabulary} tokens; set it to the one "
                    "that texts began with in training"
                )
            return token
    raise UserError(
        f"--hf: {folder / 'config.json'} names no bos_token_id and no eos_token_id, and a text must begin with something; name one of them"
    )


def _remove_additions(tree: Any) -> Any:
    """Remove from a tokenizer's description what would be put before a text, cut off or padded."""
    if isinstance(tree, list):
        return [_remove_additions(item) for item in tree if not (isinstance(item, dict) and item.get("type") == "Prepend")]
    if not isinstance(tree, dict):
        return tree
    changes: dict[str, Any] = {"add_prefix_space": False, "prepend_scheme": "never", "truncation": None, "padding": None}
    if isinstance(normalizer := tree.get("normalizer"), dict) and normalizer.get("type") == "Prepend":
        changes["normalizer"] = None
    return {key: value if key == "vocab" else changes[key] if key in changes else _remove_additions(value) for key, value in tree.items()}


def _has_type(tree: Any, kind: str) -> bool:
    """Whether a part of a tokenizer's file, or anything in it, is of a type."""
    if isinstance(tree, Mapping):
        return tree.get("type") == kind or _has_type(list(tree.values()), kind)
    return isinstance(tree, list) and any(_has_type(part, kind) for part in tree)


def _spell_vocabulary(tree: Mapping[str, Any], vocabulary: int, file: Path) -> list[bytes]:
    """Spell each token in bytes, [V]; in no bytes where the vocabulary is padded. Raises UserError for a tokenizer of another kind."""
    model = tree["model"]
    if model.get("type") != "BPE":
        raise UserError(f"--hf: {file} holds a tokenizer of type {model.get('type')}; byte pair encoding is read")
    by_bytes = _has_type([tree.get("pre_tokenizer"), tree.get("decoder")], "ByteLevel")

    def spell(token: str) -> bytes:
        if not by_bytes:
            return spell_sentencepiece(token)
        return spell_byte_level(token) if BYTE_OF_LETTER.keys() >= set(token) else token.encode()

    spelt = {index: spell(token) for token, index in model["vocab"].items()}
    spelt |= {token["id"]: token["content"].encode() for token in tree.get("added_tokens", ())}
    if max(spelt) >= vocabulary:
        raise UserError(f"--hf: {file} has token {max(spelt)}, and the model knows {vocabulary}; they do not belong together")
    return [spelt.get(index, b"") for index in range(vocabulary)]
