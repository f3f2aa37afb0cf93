"""Benches of reading pictures and of finding near duplicates, on pictures that are made here."""
