"""Optimisers, and which parameters each group of them holds."""
