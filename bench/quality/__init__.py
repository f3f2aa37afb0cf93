"""What number formats cost in quality: `python -m bench.quality.trained`, which takes hours."""
