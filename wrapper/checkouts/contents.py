"""The Python files of a folder of sd-scripts, each by its fingerprint or its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kohya_presets.sdscripts import releases


def fingerprints(scripts: Path) -> dict[str, str]:
    """Return the fingerprint of each Python file, as it is without our patches."""
    return {
        name: releases.fingerprint(file.read_text(encoding="utf-8", errors="replace"))
        for name, file in _python(scripts)
        if not file.name.startswith("kp_")
    }


def hashes(scripts: Path) -> dict[str, str]:
    """Return the hash of each Python file, as it is now."""
    return {name: hashlib.sha256(f.read_bytes()).hexdigest()[:16] for name, f in _python(scripts)}


def _python(scripts: Path) -> list[tuple[str, Path]]:
    files = (file for file in sorted(scripts.rglob("*.py")) if ".git" not in file.parts)
    return [(file.relative_to(scripts).as_posix(), file) for file in files]
