"""Where engines are built: this machine, a machine behind SSH, a job for later, a cluster."""
