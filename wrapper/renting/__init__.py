"""Rent a machine: what a training takes there, and how it gets there and back."""
