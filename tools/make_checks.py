"""Write docs/checks.md: every check of images and captions, and what sd-scripts makes of each.

python -m tools.make_checks
"""

from __future__ import annotations

from pathlib import Path

from kohya_presets.dataset import checks
from kohya_presets.dataset.checks.check import Check
from tools import by_severity

PAGE = Path(__file__).parents[1] / "docs" / "checks.md"
HEAD = """# Checks of images and captions

Made by `tools/make_checks.py` from the checks themselves; `kohya-presets dataset check` makes them,
see [Images and captions](dataset.md). `--ignore CODE` leaves one out.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")


def page() -> str:
    """Return the page's text."""
    columns = ("found", "what sd-scripts does", "what to do", "releases", "source")
    return by_severity.page(HEAD, columns, checks.CHECKS, _cells)


def _cells(check: Check) -> tuple[str, ...]:
    return check.says, check.does, check.todo, check.releases, check.citation


if __name__ == "__main__":
    main()
