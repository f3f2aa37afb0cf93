"""The smallest preset that trains and extracts."""

from __future__ import annotations

# Only what every release has: the stand-in, taken for a checkout, is like the oldest of them.
PRESET = """\
schema = 1
[preset]
name = "tiny"
title = "Tiny"
summary = "A test"
script = "sdxl_train.py"
releases = ">=0.7.0"
[train]
optimizer_type = "AdamW"
learning_rate = 1e-4
max_train_epochs = 1
[dataset]
resolution = 64
caption_extension = ".txt"
[extract]
sdxl = true
dim = 4
"""
