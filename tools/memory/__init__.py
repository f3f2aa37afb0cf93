"""Measure the GPU memory of a training, without a GPU."""
