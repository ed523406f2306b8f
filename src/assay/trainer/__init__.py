"""Train, resume, score and compare single runs, and show them in Python."""
