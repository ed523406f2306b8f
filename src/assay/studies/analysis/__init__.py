"""The analysis of a study: differences with intervals, effects, costs, warnings, and a verdict in sentences."""
