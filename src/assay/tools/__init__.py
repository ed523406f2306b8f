"""Tools around training: machine speed, memory, learning rates, exact resume, scores of many kinds, studies, searches and reports."""
