"""Where the tool keeps its own state."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

NOTIFY_VARIABLE = "KOHYA_PRESETS_NOTIFY"  # a webhook's address, which is a secret: for us alone


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return `KOHYA_PRESETS_HOME`, or the platform's folder for a user's data."""
    if chosen := environ.get("KOHYA_PRESETS_HOME"):
        return Path(chosen).expanduser().resolve()
    if sys.platform.startswith("linux"):
        # platformdirs' answer here, without the 5 ms that importing it takes from `list`.
        data = environ.get("XDG_DATA_HOME", "").strip()
        return Path(data or Path.home() / ".local" / "share") / "kohya-presets"
    import platformdirs  # see above: slow, and needed on other systems only

    return Path(platformdirs.user_data_dir("kohya-presets", appauthor=False))


def cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of what can be made anew: in a chosen home, else the platform's own."""
    if environ.get("KOHYA_PRESETS_HOME"):
        return home(environ) / "cache"
    import platformdirs  # slow, and no light command asks

    return Path(platformdirs.user_cache_dir("kohya-presets", appauthor=False))


def user_presets(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's own presets."""
    return home(environ) / "presets"


def user_patches(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's own patches."""
    return home(environ) / "patches"


def checkouts(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that holds one folder for each checkout the tool made."""
    return home(environ) / "checkouts"
