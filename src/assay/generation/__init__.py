"""Generate text with a model, and measure it beside text that people wrote."""
