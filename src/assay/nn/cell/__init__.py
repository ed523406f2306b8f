"""One step of a recurrence."""
