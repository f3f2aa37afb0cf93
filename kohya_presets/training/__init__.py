"""What one training is told, and what holds where it is not told."""
