"""What each version of the Kohya GUI has: its fields, and what it sends for them."""
