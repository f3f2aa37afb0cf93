"""Files that sd-scripts reads: configs and captions, both ways; folders of images."""
