"""Commands about presets."""
