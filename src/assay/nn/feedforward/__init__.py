"""Feed-forward layers, which transform each position alone: perceptrons, gated units, mixtures of experts."""
