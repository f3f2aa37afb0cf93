"""Import a patch's runtime modules, which are written to lie in sd-scripts' `library/`."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest

PATCHES = Path(__file__).parents[2] / "patches"


def load(patch: str, *modules: str) -> Any:
    """Return the last of a patch's `modules`; those before it are what it imports."""
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
    sys.modules.setdefault("library", types.ModuleType("library"))
    found: Any = None
    for name in modules:
        spec = importlib.util.spec_from_file_location(
            f"library.{name}", PATCHES / patch / f"{name}.py"
        )
        assert spec
        assert spec.loader
        found = importlib.util.module_from_spec(spec)
        sys.modules[f"library.{name}"] = found
        setattr(sys.modules["library"], name, found)
        spec.loader.exec_module(found)
    return found
