"""Write the page of a dataset; print how long it takes and how large it is. Fail above 15 MB.

1,000 JPEGs of 1024 x 1024 pixels in area each: made scenes, then noise, which no encoder makes
small. Some hundred of them, each under several names (hard links): each is decoded and encoded.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from bench.pictures import scenes
from kohya_presets.dataset import checks
from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from wrapper.data import gather, sources
from wrapper.data.page import writing
from wrapper.planning import subjects

MOST_BYTES = 15_000_000
CAPTION = "korra, a woman in a blue dress in front of mountains, looking at the viewer, at dusk, "


def main() -> None:
    """Make the pictures, write their pages, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="images (%(default)s)")
    parser.add_argument("--made", type=int, default=100, help="different ones (%(default)s)")
    options = parser.parse_args()
    failed = []
    for name, make in {"scenes": _scene, "noise": _noise}.items():
        with tempfile.TemporaryDirectory() as work:
            folder = _folder(Path(work) / "set", make, options.count, options.made)
            started = time.perf_counter()
            largest, count = _page(folder, Path(work) / "page.html")
            seconds = time.perf_counter() - started
        rate = options.count / seconds
        said = f"{name:<7} {options.count} images  {seconds:6.1f} s  {rate:5.0f}/s"
        print(f"{said}  {count} pages, the largest {largest / 1e6:.1f} MB")
        failed += [f"{name}: {largest / 1e6:.1f} MB"] if largest >= MOST_BYTES else []
    if failed:
        sys.exit("; ".join(failed))


def _scene(number: int) -> Image.Image:
    return scenes.scene(number, 1024)


def _noise(number: int) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 256, (512, 512, 3), np.uint8)
    return Image.fromarray(coarse).resize((1024, 1024), Image.Resampling.NEAREST)


def _folder(folder: Path, make: Callable[[int], Image.Image], count: int, made: int) -> Path:
    folder.mkdir()
    for number in range(count):
        file = folder / f"{number:06d}.jpg"
        if number < made:
            make(number).save(file, quality=90)
        else:
            os.link(folder / f"{number % made:06d}.jpg", file)
        file.with_suffix(".txt").write_text(CAPTION * (1 + number % 6), "utf-8")
    return folder


def _page(folder: Path, out: Path) -> tuple[int, int]:
    """Return the bytes of the largest page, and how many there are."""
    presets = Catalogue((catalogue.SHIPPED,))
    subsets = sources.subsets([str(folder)], presets, subjects.against("v0.10.1"))
    collection = gather.collect(subsets)
    files = writing.write(collection, checks.found(collection), out)
    return max(file.stat().st_size for file in files), len(files)


if __name__ == "__main__":
    main()
