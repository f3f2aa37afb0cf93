"""The GPU memory that a training takes."""
