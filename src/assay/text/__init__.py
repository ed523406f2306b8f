"""Texts and tokenizers: where a text comes from, and how its bytes become ids."""
