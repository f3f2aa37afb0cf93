"""Import a module of wrapper/ranks, with the patch fast-lora's modules as `library`."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import pytest

from wrapper.ranks import ranking


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module `name`, imported as the trainer's Python would."""
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
    library = types.ModuleType("library")
    library.__path__ = [str(ranking.MODULES)]
    monkeypatch.setitem(sys.modules, "library", library)
    monkeypatch.syspath_prepend(str(ranking.SCRIPT.parent))
    return importlib.import_module(name)
