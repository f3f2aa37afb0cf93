"""Read the Kohya GUI's sources."""
