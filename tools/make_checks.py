"""Write docs/checks.md: every check of images and captions, and what sd-scripts makes of each.

python -m tools.make_checks
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kohya_presets.dataset import checks
from kohya_presets.dataset.checks.check import Check
from kohya_presets.problems import SEVERITIES

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
    return HEAD + "\n".join(_tables()) + "\n"


def _tables() -> Iterator[str]:
    for severity in SEVERITIES:
        if found := [check for check in checks.CHECKS if check.severity == severity]:
            yield f"\n## {severity.capitalize()}{'' if severity == 'advice' else 's'}\n"
            yield "| code | found | what sd-scripts does | what to do | releases | source |"
            yield "|---|---|---|---|---|---|"
            yield from map(_row, sorted(found, key=lambda check: check.code))


def _row(check: Check) -> str:
    cells = (check.says, check.does, check.todo, check.releases, check.citation)
    return f"| `{check.code}` | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
