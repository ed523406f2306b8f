"""The parts that studies and searches share: axes that vary, matching, the metric, names and costs of variants."""
