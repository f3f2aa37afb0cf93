"""Files of pictures, read with all cores, and what was read before."""
