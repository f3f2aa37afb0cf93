"""Judging what a training made, from numbers of its pictures: copies, diversity, leaks, advice."""
