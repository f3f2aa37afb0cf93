"""The report of a run: read what is in its folder, and write one page of it."""
