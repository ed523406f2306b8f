"""Many runs made: jobs and their folder, workers, pools of them, and a Slurm cluster to send them to."""
