"""Datasets of every mixture of subsets, and whether sd-scripts takes them."""

from __future__ import annotations

FOLDER = "[[datasets.subsets]]\nimage_dir = 'a'\n"
MASKS = FOLDER + "conditioning_data_dir = 'm'\n"
METADATA = FOLDER + "metadata_file = 'm.json'\n"
# By name: the subsets, then whether they go with masked_loss off, and on.
DATASETS: dict[str, tuple[str, bool, bool]] = {
    "folders": (FOLDER * 2, True, True),
    "masks": (MASKS * 2, False, True),
    "metadata": (METADATA * 2, True, True),
    "some masks": (MASKS + FOLDER, False, False),
    "some masks, last": (FOLDER + MASKS, False, False),
    "some metadata": (METADATA + FOLDER, False, False),
    "masks and metadata": (MASKS + METADATA, False, False),
}


def dataset(name: str) -> str:
    """Return the dataset config called `name`."""
    return "[[datasets]]\nresolution = 1024\n" + DATASETS[name][0]


def verdict(name: str, masked: bool) -> bool:
    """Return whether sd-scripts takes it: tests/upstream/test_subset_kinds.py asks itself."""
    return DATASETS[name][2 if masked else 1]
