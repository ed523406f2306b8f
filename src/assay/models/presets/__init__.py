"""Whole models under a name: `model = "gpt2-tiny"`. `assay show NAME` prints what a name stands for, `assay kinds preset` lists all.

Each says in its docstring where its sizes are from, what is not as there, and how many parameters it has with which vocabulary.
"""

from assay.models.presets.dense import gpt2, llama
from assay.models.presets.enwik8 import al_rfou, transformer_xl
from assay.models.presets.mixture import deepseek
from assay.models.presets.recurrent import lstm

__all__ = ["al_rfou", "deepseek", "gpt2", "llama", "lstm", "transformer_xl"]
