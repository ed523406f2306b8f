"""Whole models under a name: `model = "gpt2-tiny"`. `assay show NAME` prints what a name stands for, `assay kinds preset` lists all.

Each docstring says where its sizes are from, what differs from there, and how many parameters it has with which vocabulary.
"""
