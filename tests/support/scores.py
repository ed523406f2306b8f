"""Stored scores made up for tests: files as scoring keeps them, and scores already read."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.trees import Tree
from assay.evaluation.stored import StoredScore

PROTOCOL: Tree = {
    "split": "validation",
    "text_sha256": "aa" * 32,
    "split_sha256": "bb" * 32,
    "tokenizer": "cc" * 32,
    "policy": "disjoint",
    "context": 128,
    "stride": 128,
    "streams": 0,
    "document_mask": False,
    "dtype": "float32",
    "checkpoint": {"kind": "best", "step": 300},
    "code": "0.4.0+00000000",
    "dynamic": "",
}


def sizes_of(units: int) -> np.ndarray:
    return np.ceil(np.random.default_rng(0).lognormal(4.5, 0.6, units)).astype(np.int64)


def bits_of(sizes: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """About `rate` bits per byte; difficulty is shared by all seeds, noise is not."""
    difficulty = np.random.default_rng(1).normal(1, 0.2, len(sizes))
    return sizes * (rate * difficulty + np.random.default_rng(seed + 2).normal(0, 0.05, len(sizes)))


def stored(
    name: str,
    bits: np.ndarray,
    sizes: np.ndarray,
    *,
    kind: str = "documents",
    config: Tree | None = None,
    sha: str = "dd" * 32,
    **protocol: Any,
) -> StoredScore:
    """A complete score; two bytes a token."""
    figures = {
        "protocol": {**PROTOCOL, **protocol},
        "units": {"kind": kind, "count": len(sizes), "bytes_sha256": sha},
        "bits_per_byte": float(bits.sum() / sizes.sum()),
        "standard_error": 0.01,
        "bytes_scored": int(sizes.sum()),
        "bytes_in_split": int(sizes.sum()),
        "tokens_scored": int(sizes.sum()) // 2,
    }
    return StoredScore(name, figures, sizes, bits, config or {}, {})


def keep(score: StoredScore, folder: Path, name: str) -> Path:
    """The files of a score; the path of its JSON."""
    (folder / "scores").mkdir(parents=True, exist_ok=True)
    path = folder / "scores" / f"{name}.json"
    path.write_text(json.dumps(score.values))
    np.savez(path.with_suffix(".npz"), bytes=score.sizes, bits=score.bits)
    return path
