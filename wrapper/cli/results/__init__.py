"""Commands that look at what came out of a run."""
