"""Images and captions on this disk."""
