"""The problems of settings: of each alone, then of their combinations."""
