"""Show runs, scores, studies and the results of tools in the terminal."""
