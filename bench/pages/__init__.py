"""Pages: how large they are, and how long they take."""
