"""Whole models, from token ids to logits, made of the parts in nn."""
