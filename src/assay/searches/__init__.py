"""What tries many configurations and finds good ones: search spaces, trials, early stopping."""
