"""Positional encodings, by which a model knows where in the text a token is."""
