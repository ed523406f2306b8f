"""What measures and checks beside training: machine speed, memory, learning rates, exact resume, scores of many kinds, reports."""
