"""Train a model: the loop, its steps, hooks and checkpoints."""
