"""Making many runs: jobs, workers, pools, and a Slurm cluster to send them to."""
