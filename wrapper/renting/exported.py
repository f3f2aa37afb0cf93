"""Files for services that rent GPUs: commands, a task, an image recipe, and the start script."""

from __future__ import annotations

from pathlib import Path

START = "start.sh"


def start_script() -> str:
    """Return the script that trains a pack on any machine."""
    return (Path(__file__).parent / START).read_text(encoding="utf-8")
