"""What draws text: the console, tables, curves, progress bars."""
