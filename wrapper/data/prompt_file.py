"""A file of prompts that a user names: read, and told of what sd-scripts makes of it."""

from __future__ import annotations

from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.prompts import checks
from kohya_presets.sdscripts import options
from wrapper.screen.talk import Talk


def read(file: Path, release: str, talk: Talk | None) -> str:
    """Return its text without a byte-order mark; `talk` says what a release takes otherwise.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    try:
        data = file.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the prompts in {file}: {error}") from None
    if talk is not None:
        talk.problems([*checks.of_bytes(data, options.nearest_release(release), file)])
    return text
