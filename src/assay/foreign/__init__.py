"""Models that are not Assay's, such as any function from ids to logits: checked for faults, and scored."""
