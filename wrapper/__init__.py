"""What the project does: checkouts, environments, processes, runs, the command line."""
