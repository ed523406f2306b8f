"""What a model writes, and how that compares with what people wrote."""
