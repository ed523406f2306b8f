"""What everything rests on: configs and their kinds, recipes, seeds, devices, processes."""
