"""Searches, which try many configurations to find good ones: search spaces, trials, early stopping."""
