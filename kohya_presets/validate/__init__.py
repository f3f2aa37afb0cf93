"""What is wrong with settings: each by itself, then their combinations."""
