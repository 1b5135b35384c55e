"""Workers: what a task schedules. Programs import these modules instead of those of `ClusterShell.Worker`."""
