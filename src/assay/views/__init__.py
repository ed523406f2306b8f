"""What the terminal shows of runs, scores, studies and tools."""
