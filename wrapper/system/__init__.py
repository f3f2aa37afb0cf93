"""Doors to the machine: processes, folders, files written whole."""
