"""Captions changed in bulk: planned as steps, told to an undo file, then carried out one by one."""
