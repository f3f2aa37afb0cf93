"""An average of the trained weights, for sd-scripts."""
