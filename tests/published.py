"""Validate the configs in a folder, such as files that people published, and count what is said.

python -m tests.published FOLDER

It fetches nothing, and nothing of such a folder belongs into this repository. TOML files are
validated, each folder's together; JSON files are imported as the Kohya GUI's. For each error the
line it stands on is printed, so that a person can hold it against sd-scripts.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.gui import read
from kohya_presets.problems import errors
from kohya_presets.validate import config_files
from kohya_presets.validate.report import Against, Report
from tests.sheets import ADDITIONS


def main(folder: Path, release: str = "v0.10.1") -> None:
    """Print each error, then the counts."""
    reports = list(validated(folder, Against(release, additions=ADDITIONS)))
    scripts = Counter(r.taken_for.script for r in reports if r.taken_for)
    codes = Counter((p.severity, p.code) for r in reports for p in set(r.problems))
    for problem in (p for report in reports for p in errors(report.problems)):
        print(problem)
    wrong = sum(report.has_errors for report in reports)
    silent = sum({p.severity for p in r.problems} <= {"advice", "note"} for r in reports)
    print(f"\n{len(reports)} subjects: {wrong} with errors, {silent} without error and warning")
    print(f"scripts: {dict(scripts.most_common())}")
    for (severity, code), count in sorted(codes.items()):
        print(f"{count:5} {severity:8} {code}")
    print(f"JSON files: {dict(imported(folder))}")


def validated(folder: Path, against: Against) -> Iterator[Report]:
    """Yield the reports on the TOML files of each folder."""
    for inside in sorted({path.parent for path in folder.rglob("*.toml")}):
        files = [p for p in sorted(inside.glob("*.toml")) if not config_files.is_preset(p)]
        yield from config_files.together(files, against)


def imported(folder: Path) -> Counter[str]:
    """Return how many JSON files were read for which script, or why not."""
    found: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.json")):
        try:
            found[read.json_file(path.read_bytes(), path.stem, ADDITIONS).preset.script] += 1
        except UserError as error:
            found[type(error).__name__] += 1
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
