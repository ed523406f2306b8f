"""What studies and searches share: axes that vary, what stays equal, the metric, names and costs of variants."""
