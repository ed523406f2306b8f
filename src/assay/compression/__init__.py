"""Lossless compression with a trained model: an arithmetic coder spends -log2 p bits on each token, so a file's size proves a score."""
