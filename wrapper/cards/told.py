"""What `card` says it has done, for a person and for a script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kohya_presets import problems
from kohya_presets.cards import words
from kohya_presets.loras import escape
from kohya_presets.problems import plural
from wrapper.cards import upload
from wrapper.cards.making import Done
from wrapper.cards.upload import Upload


def text(done: Done) -> str:
    """Return what was written, which gaps are left, and what would be uploaded."""
    lines = [*map(str, done.card.files)]
    if done.lora and done.changes is not None:
        keys = ", ".join(key.removeprefix("modelspec.") for key in done.changes)
        lines.append(f"{done.lora}  (metadata: {keys})")
    lines += _gaps(done)
    if done.address:
        lines += ["", f"uploaded: {done.address}"]
    elif done.planned:
        lines += ["", *upload.lines(done.planned)]
    return "\n".join(map(escape.controls, lines))


def values(done: Done) -> dict[str, Any]:
    """Return the same for a script."""
    return {
        "lora": str(done.found.file),
        "files": [str(file) for file in done.card.files],
        "gaps": [{"key": gap.key, "asks": gap.asks} for gap in done.card.gaps],
        "problems": [problems.values(problem) for problem in done.card.warnings],
        "warnings": list(done.found.warnings),
        "metadata": {"file": str(done.lora), "set": done.changes} if done.lora else None,
        "upload": _values(done.planned, done.address) if done.planned else None,
    }


def _gaps(done: Done) -> Iterator[str]:
    if not done.card.gaps:
        return
    file = done.card.folder / words.NAME
    yield ""
    yield f"{plural(len(done.card.gaps), 'gap')} to fill in, in {file}:"
    for gap in done.card.gaps:
        yield f"  {gap.key}: {gap.asks}"
    yield "Then run the same command again."


def _values(planned: Upload, address: str) -> dict[str, Any]:
    return {
        "repository": planned.repository,
        "public": planned.public,
        "files": {name: str(file) for name, file in planned.files.items()},
        "uploaded": address or None,
    }
