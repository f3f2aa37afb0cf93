"""Presets: one file, what it inherits, the catalogue, what differs between two."""
