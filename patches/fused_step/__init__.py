"""Optimizer steps inside of the backward pass, and stochastic rounding, for sd-scripts."""
