"""From what a command asks for to a run that can start: checks, then the plan of each stage."""
