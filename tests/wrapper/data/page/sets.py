"""A folder of images and hostile captions, and what is known of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from kohya_presets.dataset import checks
from kohya_presets.dataset.checks.check import Found
from kohya_presets.dataset.collection import Collection
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from wrapper.data import gather, sources
from wrapper.planning import subjects

LETTERS = Tokenizer(())  # each letter is a token
HOSTILE = {
    "script": "</script><script>document.title='hacked'</script>",
    "comment": "<!--<script>",
    "quotes": "\"double\" 'single' `back` onerror=alert(1)",
    "entities": "&lt;b&gt; &amp; &#60;",
    "template": "{{ 7 * 7 }} {% raw %}",
    "turned": "\u202eevil \u2066isolated\u2069 \u05e9\u05dc\u05d5\u05dd",
    "terminal": "\x1b[31mred\x07",
    "separators": "a\u2028b\u2029c\u0085d",
    "style": "</style></title></textarea>",
}
# Windows allows none of <>"|?*: there, the captions alone are hostile.
NAMES = {
    name: name if sys.platform == "win32" else f"{name} <img src=x onerror=alert(1)> \"'\u202egpj"
    for name in HOSTILE
}


def write(folder: Path, captions: Mapping[str, str], *, ending: str = ".png") -> list[Path]:
    """Write a picture for each caption; return the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, (name, caption) in enumerate(captions.items()):
        files.append(folder / f"{name}{ending}")
        hue = number + 1  # a black one would be found to be grey
        colour = (hue * 37 % 256, hue * 91 % 256, hue * 53 % 256)
        size = (64 + 16 * (number % 5), 64)
        Image.new("RGB", size if number % 2 else size[::-1], colour).save(files[-1])
        files[-1].with_suffix(".txt").write_text(caption, "utf-8", newline="\n")
    return files


def hostile(folder: Path) -> list[Path]:
    """Write pictures with hostile names and captions."""
    return write(folder, {NAMES[name]: caption for name, caption in HOSTILE.items()})


def known(
    *folders: Path, overrides: Sequence[str] = (), pixels: bool = False
) -> tuple[Collection, tuple[Found, ...]]:
    """Return what is known of folders as skynet trains them, and what is found."""
    shipped = Catalogue((catalogue.SHIPPED,))
    against = subjects.against("v0.10.1")
    names = [str(folder) for folder in folders]
    subsets = sources.subsets(names, shipped, against, overrides=overrides)
    made = gather.collect(subsets, tokenizer=LETTERS)
    made = gather.with_pixels(made, None) if pixels else made
    return made, checks.found(made)
