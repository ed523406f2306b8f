"""What a model learns from: documents split into parts, and the rows that each step reads."""
