"""Commands that train, and look at what came out."""
