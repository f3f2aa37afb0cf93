"""What the project rewrites: edits to a checkout of sd-scripts. Text in, text out."""
