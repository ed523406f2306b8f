"""How a model learns: the loop, its steps, its hooks, its checkpoints."""
