"""A caption file, and what sd-scripts reads of it.

library/train_util.py (from v0.11.0 on library/dreambooth_dataset.py): read_caption, which is the
same in all releases but for enable_wildcard, new in v0.8.6. The file is opened as UTF-8 text, so a
line ends at LF, CRLF or CR, and a byte-order mark stays. What becomes of the text is in `trained`.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

MARK = "\ufeff"
_NUMBERS = 4  # parts of a name that face detection added: IMAGE_0_1_2_3


@dataclass(frozen=True)
class Caption:
    """A caption file: `lines` as they are in it, without their ends.

    `fault` is why sd-scripts stops at it: "empty", "encoding", or "" where it does not.
    """

    file: Path
    lines: tuple[str, ...]
    fault: str = ""
    wildcard: bool = False

    @property
    def text(self) -> str:
        """What sd-scripts reads: the first line, or with enable_wildcard all that are not blank.

        With wildcards, each step takes one of the lines at random.
        """
        if self.wildcard:
            return "\n".join(line.strip() for line in self.lines if line.strip())
        return self.lines[0].strip() if self.lines else ""

    @property
    def unread(self) -> tuple[str, ...]:
        """The lines with text that sd-scripts does not read."""
        return () if self.wildcard else tuple(line for line in self.lines[1:] if line.strip())

    @property
    def has_mark(self) -> bool:
        """Whether a byte-order mark is a part of the caption: its first word is another one."""
        return self.text.startswith(MARK)


def of_bytes(file: Path, data: bytes, *, wildcard: bool = False) -> Caption:
    """Return what sd-scripts reads of a caption file with these bytes."""
    try:
        text = codecs.decode(data, "utf-8")
    except UnicodeDecodeError:
        return Caption(file, (), "encoding", wildcard)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = tuple(text.removesuffix("\n").split("\n")) if text else ()
    return Caption(file, lines, "" if text else "empty", wildcard)


def candidates(image: Path, extension: str) -> tuple[Path, Path]:
    """Return where sd-scripts looks for the caption of an image, in this order.

    A path with four underscores or more is taken for one of a detected face: without its last four
    parts it names a second candidate. The folders' names count too.
    """
    base = str(image.with_suffix("") if image.suffix else image)
    parts = base.split("_")
    face = "_".join(parts[:-_NUMBERS]) if len(parts) > _NUMBERS else base
    return Path(base + extension), Path(face + extension)


def find(image: Path, extension: str) -> Path | None:
    """Return the caption file that sd-scripts takes for an image, or None."""
    return next((file for file in candidates(image, extension) if file.is_file()), None)
