"""Watch a run: recognize what stops it, from its log and the machine, and tell its owner."""
