"""The directory of a run, which knows no model: status, metrics, provenance, lock."""
