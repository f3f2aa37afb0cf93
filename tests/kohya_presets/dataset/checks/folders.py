"""Small datasets for tests of checks: pictures of 64 x 64, captions, configs of several subsets.

`Made` is what a case makes; `found` says which codes the checks find in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kohya_presets.dataset import checks
from kohya_presets.dataset.checks.check import Found
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import releases
from kohya_presets.toml import text as toml_text
from kohya_presets.validate.report import Against
from tests.wrapper.data import odd_pictures
from wrapper.data import gather, sources

SIDE = (64, 64)
# Of the preset skynet: small pictures, of which nothing is cut by chance.
SMALL = (
    *("dataset.resolution=[64,64]", "dataset.min_bucket_reso=32", "dataset.max_bucket_reso=128"),
    *("dataset.bucket_reso_steps=32", "dataset.random_crop=false"),
)
LAMP = "a photo of a lamp"


class Made(NamedTuple):
    """A case on disk: a folder or a dataset config, settings, and the trigger."""

    data: Path
    overrides: tuple[str, ...] = ()
    trigger: str | None = None

    def preset(self) -> Preset:
        """Return the preset that trains it."""
        shipped = Catalogue((catalogue.SHIPPED,))
        return shipped.load("skynet", overrides=[*SMALL, *self.overrides])


def found(
    made: Made, *, release: str = releases.DEFAULT, tokenizer: Tokenizer | None = None
) -> tuple[Found, ...]:
    """Return what the checks find: headers, captions and pixels are read."""
    subsets = sources.of_data(made.preset(), made.data, Against(release))
    read = gather.collect(subsets, tokenizer=tokenizer, trigger=made.trigger)
    return checks.found(gather.with_pixels(read))


def codes(several: Iterable[Found]) -> set[str]:
    """Return the codes of findings."""
    return {one.check.code for one in several}


def picture(file: Path, number: int = 0, size: tuple[int, int] = SIDE, form: str = "PNG") -> Path:
    """Write a sound picture that differs from those of other numbers."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(odd_pictures.encoded(odd_pictures.drawn(number, size), form))
    return file


def captioned(file: Path, caption: str | bytes | None) -> Path:
    """Write a caption beside an image; none for None."""
    if caption is not None:
        data = caption if isinstance(caption, bytes) else caption.encode("utf-8")
        file.with_suffix(".txt").write_bytes(data)
    return file


def folder(
    root: Path, *captions: str | bytes | None, size: tuple[int, int] = SIDE, first: int = 0
) -> Path:
    """Write a folder with a picture for each caption: 0.png, 1.png and so on."""
    root.mkdir(parents=True, exist_ok=True)
    for number, caption in enumerate(captions):
        captioned(picture(root / f"{number}.png", number + first, size), caption)
    return root


def odd(root: Path, name: str, caption: str | None = LAMP) -> Path:
    """Write a folder with one odd picture and its caption."""
    (file,) = odd_pictures.write(root, [name]).values()
    captioned(file, caption)
    return root


def config(root: Path, *subsets: dict[str, object], **dataset: object) -> Path:
    """Write a dataset config of one dataset beside the folders."""
    text = f"[[datasets]]\n{toml_text.table(dataset)}\n"
    for subset in subsets:
        values = {k: str(v) if isinstance(v, Path) else v for k, v in subset.items()}
        text += f"[[datasets.subsets]]\n{toml_text.table(values)}\n"
    root.mkdir(parents=True, exist_ok=True)
    file = root / "dataset.toml"
    file.write_text(text, "utf-8")
    return file
