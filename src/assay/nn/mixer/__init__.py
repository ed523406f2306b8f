"""What moves information between positions: attention, recurrence, convolution."""
