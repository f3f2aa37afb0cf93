"""Commands for a rented machine."""
