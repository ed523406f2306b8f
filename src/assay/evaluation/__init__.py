"""What a model is worth: bits per byte over every byte, with standard errors and the protocol of each figure."""
