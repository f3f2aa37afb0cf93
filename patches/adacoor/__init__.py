"""The optimizer AdaCoor, for sd-scripts."""
