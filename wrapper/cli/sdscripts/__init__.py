"""Commands about sd-scripts and the Kohya GUI."""
