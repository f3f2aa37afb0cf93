"""Exact continuation of an interrupted training, for sd-scripts."""
