"""Import a patch's runtime modules, which are written to lie in sd-scripts' `library/`."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest

PATCHES = Path(__file__).parents[2] / "patches"


def load(patch: str, module: str) -> Any:
    """Return a module of a patch, which finds those that it imports beside itself."""
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
    library = sys.modules.setdefault("library", types.ModuleType("library"))
    folders = list(getattr(library, "__path__", []))
    if str(PATCHES / patch) not in folders:
        library.__path__ = [*folders, str(PATCHES / patch)]
    return importlib.import_module(f"library.{module}")
