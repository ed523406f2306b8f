"""Configure experiments, and build their parts: model, training setup and scorers."""
