"""What changes one thing and holds all else equal: study files, their plans and their runs."""
