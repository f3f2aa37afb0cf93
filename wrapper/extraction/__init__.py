"""sd-scripts' extraction and resizing: how each is started, on what, and what it has to make."""
