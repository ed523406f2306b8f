"""Score models in bits per byte over every byte of a text, with standard errors and protocol, and compare scores."""
