"""What is told while a run trains: to the console, to TensorBoard, to Weights & Biases."""
