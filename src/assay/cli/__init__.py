"""What a person types: each command is its options and one call."""
