"""Folders that hold sd-scripts: got, known again, patched."""
