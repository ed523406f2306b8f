"""Train, score and compare small language models, with numbers that can be trusted."""

__version__ = "0.1.0"
