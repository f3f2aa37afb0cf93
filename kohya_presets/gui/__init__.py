"""The Kohya GUI's saved files: presets into them, and out of them, for every version of it."""
