"""Fixtures for presets: a folder of them, and the catalogue that searches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.presets.catalogue import SHIPPED, Catalogue
from tests.sheets import Make


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write presets into a folder and return a catalogue of it and the shipped ones."""

    def catalogue(**files: str) -> Catalogue:
        folder = tmp_path / "presets ü"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.toml").write_text(text, "utf-8")
        return Catalogue((folder, SHIPPED))

    return catalogue
