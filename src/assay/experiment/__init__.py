"""What decides the outcome of a run, as one config, and how its parts are put together."""
