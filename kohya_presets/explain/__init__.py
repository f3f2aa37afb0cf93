"""What options do and why presets set them as they do."""
