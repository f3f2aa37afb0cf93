"""A run: its record, how it is carried out, what is kept of it, what went wrong."""
