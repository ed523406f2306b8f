"""Show a run while it trains: in the console, in TensorBoard, in Weights & Biases."""
