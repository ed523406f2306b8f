"""The training data: documents split into parts, and the batches that each step reads."""
