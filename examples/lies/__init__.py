"""The six lies, one in each file; `runs` is what they share."""
