"""Mixers, which move information between positions: attention, recurrence, convolution."""
