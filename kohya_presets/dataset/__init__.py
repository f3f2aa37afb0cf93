"""What sd-scripts makes of a folder of images and captions, release by release."""
