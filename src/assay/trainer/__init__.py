"""One run made: trained, resumed, scored again, compared, and seen from Python."""
