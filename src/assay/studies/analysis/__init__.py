"""What a study found: differences with intervals, effects, costs, warnings, and a verdict in sentences."""
