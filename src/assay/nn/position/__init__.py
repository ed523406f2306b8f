"""How a model knows where in the text a token is."""
