"""What sd-scripts of a release makes of a file of prompts, other than its writer may think.

library/train_util.py, sample_images_common and line_to_prompt_dict; library/sampling.py from
v0.11.0 on. Nothing of it is said there: a part that is not understood is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from kohya_presets.problems import Place, Problem, did_you_mean
from kohya_presets.prompts import lines
from kohya_presets.sdscripts import options

LEAST, MULTIPLE = 64, 8  # of a side, in pixels
MOST_STEPS = 1000
DEFAULT = 512  # pixels, of a side that is not given
LETTER = re.compile(r"[A-Za-z]{1,4}$")
CODES = frozenset(
    {
        *("prompts-encoding", "prompts-mark", "prompts-none"),
        *("prompt-comment", "prompt-empty", "prompt-option", "prompt-size", "prompt-text"),
        "prompt-value",
    }
)


class Letter(NamedTuple):
    """An option of a prompt line: what it means, how much of its value is read, since when."""

    means: str
    pattern: str = r".+"
    releases: str = ">=0.7.0"


_WHOLE, _NUMBER = r"\d+", r"[\d.]+"
LETTERS: Mapping[str, Letter] = {
    "w": Letter("width", _WHOLE),
    "h": Letter("height", _WHOLE),
    "d": Letter("seed", _WHOLE),
    "s": Letter("steps", _WHOLE),
    "l": Letter("guidance scale", _NUMBER),
    "n": Letter("negative prompt"),
    "cn": Letter("image of a ControlNet"),
    "ss": Letter("sampler", releases=">=0.7.1"),
    "g": Letter("distilled guidance scale, of other models", _NUMBER, ">=0.10.0"),
    "ctr": Letter("guidance truncation, of other models", releases=">=0.10.0"),
    "rcfg": Letter("guidance renormalization, of other models", releases=">=0.10.0"),
    "fs": Letter("flow shift, of other models", releases=">=0.10.0"),
    "i": Letter("image, of other models", releases=">=0.11.0"),
    "am": Letter("strength of the network", r"[\d.\-,]+", ">=0.11.0"),
    "mk": Letter("mask, of other models", releases=">=0.11.1"),
}


def of_bytes(data: bytes, release: str, file: Path | None = None) -> Iterator[Problem]:
    """Yield what is wrong with a file of prompts, a .txt."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = Place(file, data[: error.start].count(b"\n") + 1)
        message = "the file of prompts is not UTF-8: training stops at the first sample"
        yield Problem("prompts-encoding", "error", place, message, "Save it as UTF-8.")
        return
    if text.startswith(lines.MARK):
        message = "the file begins with a byte-order mark, which becomes part of its first line"
        if text[1:2] == "#":
            message += ": a comment becomes a prompt"
        hint = "Save it as UTF-8 without BOM."
        yield Problem("prompts-mark", "warning", Place(file, 1), message, hint)
        text = text[1:]
    several = [(n, line) for n, line in enumerate(text.splitlines(), 1) if lines.is_read(line)]
    if not several:
        message = "the file has no prompts: no picture is made"
        yield Problem("prompts-none", "warning", Place(file), message, "Write one on each line.")
    for number, line in several:
        yield from of_line(line, release, Place(file, number))


def of_line(line: str, release: str, where: Place) -> Iterator[Problem]:
    """Yield what is wrong with one line."""
    if line.lstrip().startswith("#"):
        message = "a line with a space before # is a prompt, not a comment"
        yield Problem("prompt-comment", "warning", where, message, "Delete the space.")
        return
    if not line.split(" --")[0].strip() or line.lstrip().startswith("--"):
        message = "the line has options and no prompt"
        yield Problem("prompt-empty", "warning", where, message, "Write the prompt in front.")
        return
    text = line.strip().split(" --")[0]
    if (own := lines.OPTION.match(text)) and own[1].lower() in _known(release):
        message = f"the prompt begins like the option --{own[1]}, and is read as that too"
        yield Problem("prompt-text", "warning", where, message, "Begin it with another word.")
    said = list(lines.options(line))
    for key, value in said:
        yield from _option(key, value, release, where)
    if not {"w", "h"} <= {key for key, _ in said}:
        message = f"without --w and --h a picture is {DEFAULT} x {DEFAULT}: too small for SDXL"
        hint = f"Add --w {lines.SIDE} --h {lines.SIDE}."
        yield Problem("prompt-size", "warning", where, message, hint)


def _option(key: str, value: str, release: str, where: Place) -> Iterator[Problem]:
    known = _known(release)
    if key not in known:
        newer = LETTERS.get(key)
        since = f"it is read by {newer.releases.replace('>=', 'v')} and newer" if newer else None
        message = f"--{key} in a prompt is not read by {release}, and left out in silence"
        hint = (since and f"{since[0].upper()}{since[1:]}.") or did_you_mean(key, known)
        hint = hint or f"A prompt's options are --{', --'.join(sorted(known))}."
        yield Problem("prompt-option", "warning", where, message, hint)
        return
    letter = LETTERS[key]
    read = re.match(letter.pattern, value.strip())
    if read and letter.pattern == _NUMBER and not _is_number(read[0]):
        read = None
    if read is None or read[0] != value.strip():
        taken = f"read as {read[0]!r}" if read else "left out"
        message = f"--{key} {value!r} ({letter.means}) is not understood whole: it is {taken}"
        hint = _WRITE.get(letter.pattern, "Write a value behind it, or leave it out.")
        yield Problem("prompt-value", "warning", where, message, hint)
    elif check := _VALUES.get(key):
        yield from check(key, int(value.strip()), where)


def _known(release: str) -> set[str]:
    return {name for name, letter in LETTERS.items() if options.is_in(release, letter.releases)}


def _side(key: str, value: int, where: Place) -> Iterator[Problem]:
    used = max(LEAST, value - value % MULTIPLE)
    if used != value:
        message = f"--{key} {value} becomes {used}: a multiple of {MULTIPLE}, {LEAST} or more"
        yield Problem("prompt-size", "warning", where, message, f"Write --{key} {used}.")


def _steps(key: str, value: int, where: Place) -> Iterator[Problem]:
    used = max(1, min(MOST_STEPS, value))
    if used != value:
        message = f"--{key} {value} becomes {used}: steps are 1 to {MOST_STEPS}"
        yield Problem("prompt-value", "warning", where, message, f"Write --{key} {used}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_WRITE: Mapping[str, str] = {_WHOLE: "Write a whole number.", _NUMBER: "Write a number."}
_VALUES: Mapping[str, Callable[[str, int, Place], Iterator[Problem]]] = {
    "w": _side,
    "h": _side,
    "s": _steps,
}
