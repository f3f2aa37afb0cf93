"""Which pictures are one picture."""
