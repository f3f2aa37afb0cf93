"""The size of a picture: its bucket, what is cut off, and how many steps follow."""
