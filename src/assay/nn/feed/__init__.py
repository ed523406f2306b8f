"""What computes at each position alone: MLPs, gated units, mixtures of experts."""
