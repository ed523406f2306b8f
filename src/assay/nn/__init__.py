"""The parts of models: mixers, feed-forwards, positions, norms, blocks."""
