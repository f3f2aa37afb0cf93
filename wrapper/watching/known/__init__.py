"""How trainings fail, in the exact words of torch, CUDA, sd-scripts and the rest: data."""
