"""Studies, which change one thing and hold all else equal: their files, plans and runs."""
