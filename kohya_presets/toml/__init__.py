"""TOML: read with the line of each value, and written so that sd-scripts reads it back."""
