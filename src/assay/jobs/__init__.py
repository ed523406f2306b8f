"""Where runs are sent: to a Slurm cluster."""
