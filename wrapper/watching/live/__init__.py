"""Watch a training while it runs: pure, fed with lines, losses and the clock."""
