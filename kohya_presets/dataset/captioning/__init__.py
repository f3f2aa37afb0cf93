"""Captions changed in bulk, and captions that images hold themselves: text in, text out."""
