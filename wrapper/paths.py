"""Where the tool keeps its own state. Nothing else of the user's is ever written to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return `KOHYA_PRESETS_HOME`, or the platform's folder for a user's data."""
    if chosen := environ.get("KOHYA_PRESETS_HOME"):
        return Path(chosen).expanduser().resolve()
    import platformdirs  # only where it is needed: the light commands set the variable or wait 5 ms

    return Path(platformdirs.user_data_dir("kohya-presets", appauthor=False))


def user_presets(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's own presets."""
    return home(environ) / "presets"


def checkouts(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that holds one folder for each checkout the tool made."""
    return home(environ) / "checkouts"
