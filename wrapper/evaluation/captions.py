"""The captions that prompts are made from: of a folder, a dataset config or a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.prompts import made
from kohya_presets.prompts.made import Wish
from kohya_presets.sdscripts import releases
from wrapper.data import of_run
from wrapper.planning import again
from wrapper.runs import manifest
from wrapper.runs.manifest import Run


@dataclass(frozen=True)
class Captions:
    """The captions of a set of images, by image, and the size that these are trained in."""

    images: tuple[Path, ...]
    by_image: Mapping[Path, str]
    wish: Wish

    @property
    def texts(self) -> list[str]:
        """The captions, one for each image."""
        return [*self.by_image.values()]


def of(data: Path) -> Captions:
    """Return the captions of a folder of images, of a dataset config, or of a run's images.

    Raises:
        UserError: there are none, or the images of the run are not there any more.
    """
    data = data.expanduser().resolve()
    if (data / manifest.NAME).is_file():
        return of_a_run(manifest.read(data))
    if not data.exists():
        hint = "Give a folder with images and captions, a dataset config, or a run."
        raise UserError(f"{data} does not exist", hint=hint)
    return _of(Catalogue((catalogue.SHIPPED,)).load("skynet"), data, releases.DEFAULT)


def of_a_run(run: Run) -> Captions:
    """Return the captions of the images that a run trains.

    Raises:
        UserError: they are not there any more, or have no captions.
    """
    data = (
        run.folder / "data" if run.kind == "rehearsal" else Path(str(run.facts["data"]["folder"]))
    )
    if not data.exists():
        hint = "Bring them back, or give a file of prompts by --prompts."
        raise UserError(f"the images of {run.folder} are not there any more: {data}", hint=hint)
    return _of(again.preset_of(run), data, run.release)


def wish(
    found: Captions,
    size: int | None = None,
    *,
    steps: int | None = None,
    scale: float | None = None,
    negative: str | None = None,
) -> Wish:
    """Return how pictures are made: as large as the images are trained, where nothing is asked."""
    width, height = (size, size) if size else (found.wish.width, found.wish.height)
    return Wish(width, height, steps, scale, negative)


def _of(trains: Preset, data: Path, release: str) -> Captions:
    subsets = of_run.of(trains, data, release)
    found = of_run.captions(subsets)
    if not found:
        hint = "Write captions: `kohya-presets captions DIR` makes them from file names."
        raise UserError(f"{data} has no captions", hint=hint)
    images = tuple(image for subset in subsets for image in subset.images)
    return Captions(images, found, made.of_size(trains.dataset))
