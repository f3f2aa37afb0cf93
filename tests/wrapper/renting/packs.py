"""A pack for tests, made from images of the test's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from tests.wrapper.renting import pictures
from wrapper.planning.request import Request
from wrapper.renting import contents, pack
from wrapper.renting.contents import Asked, Contents
from wrapper.screen.talk import Talk

HUB = "stabilityai/stable-diffusion-xl-base-1.0"


def asked(
    preset: Preset, data: Path, *, name: str = "korra é", base: str = HUB, **more: object
) -> Asked:
    return Asked(Request(preset, name, Path("runs"), "v0.10.1", **more), data, base)  # type: ignore[arg-type]


def of(preset: Preset, data: Path, **more: object) -> Contents:
    return contents.of(asked(preset, data, **more), Talk())  # type: ignore[arg-type]


def made(shipped: Catalogue, around: Path) -> Path:
    """Return a pack of `lion` with three small images."""
    data = pictures.folder(around, side=256)
    file = around / "korra é.zip"
    found = of(shipped.load("lion"), data)
    tool = next(path for path in found.files if path.startswith("tool/"))
    files = {**found.files, tool: b"a wheel"}  # whose 4 MB no test needs to read again
    pack.write(replace(found, files=files), file)
    return file
