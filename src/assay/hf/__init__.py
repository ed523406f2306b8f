"""Models of the library transformers, scored like Assay's own."""
