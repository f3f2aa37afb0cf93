"""Prompts for sample pictures, as sd-scripts reads them."""

TEXT = ".txt"  # how the name of a file with a prompt on each line ends
