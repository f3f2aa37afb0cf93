r"""Fences: the blocks of lines that a patch leaves in somebody else's Python file.

    # >>> kohya-presets: NAME
    # | a line that stood here before
    a line that stands here now
    # <<< kohya-presets: NAME 1f0e8a2c

The eight digits are of the lines between, so that an edit by hand shows, whoever's version of the
patch wrote them. A kept line stands behind `# | `; its indentation in front of that is its own.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kohya_presets.errors import PatchError

BOM = "\ufeff"  # what Windows editors put in front; no line begins with it
_FENCE = re.compile(
    r"[ \t\f]*# (?P<mark>>>>|<<<) kohya-presets: (?P<patch>[\w.-]+)(?: (?P<digest>[0-9a-f]{8}))?\s*"
)
_LOOKS_LIKE_ONE = re.compile(r"\s*#\s*(>>>|<<<)\s*kohya-presets\b")
_KEPT = re.compile(r"([ \t\f]*)# \| ?(.*)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: `lines[first : end]` of the file, both fences with them."""

    patch: str
    first: int
    end: int
    kept: tuple[str, ...]  # the lines that stood there before
    indent: str
    edited: bool


def split(text: str) -> list[str]:
    """Return the lines with their ends, as Python's parser counts them: a form feed ends none."""
    return list(io.StringIO(text, newline=""))


def indentation(line: str) -> str:
    """Return the blanks that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t\f"))]


def blocks(lines: Sequence[str]) -> tuple[Block, ...]:
    """Return every block, in order.

    Raises:
        PatchError: a fence is incomplete, or this version does not know its form.
    """
    found: list[Block] = []
    opened: tuple[str, int] | None = None
    for at, line in enumerate(lines):
        fence = _FENCE.fullmatch(line)
        if fence is None:
            if _LOOKS_LIKE_ONE.match(line):
                raise _broken(at, f"an unknown marker: {line.strip()!r}")
            continue
        patch = fence["patch"]
        if fence["mark"] == ">>>":
            if opened:
                raise _broken(opened[1], f"a block of {opened[0]!r} that is opened, never closed")
            opened = (patch, at)
        elif opened is None or opened[0] != patch:
            raise _broken(at, f"the end of a block of {patch!r} without its beginning")
        else:
            found.append(_block(patch, lines, opened[1], at, fence["digest"]))
            opened = None
    if opened:
        raise _broken(opened[1], f"a block of {opened[0]!r} that is opened, never closed")
    return tuple(found)


def without(lines: Sequence[str], unwanted: Iterable[Block]) -> list[str]:
    """Return the lines as they were before the `unwanted` blocks were put in."""
    kept: list[str] = []
    at = 0
    for block in unwanted:
        kept += [*lines[at : block.first], *block.kept]
        at = block.end
        if not lines[at - 1].endswith(("\n", "\r")) and kept:
            kept[-1] = kept[-1].rstrip("\r\n")  # the file had no newline at its end
    return [*kept, *lines[at:]]


def bare(text: str) -> str:
    """Return `text` without the blocks of any patch; as it is where a fence is broken."""
    if text.startswith(BOM):
        return BOM + bare(text.removeprefix(BOM))
    lines = split(text)
    try:
        return "".join(without(lines, blocks(lines)))
    except PatchError:
        return text


def block(patch: str, body: str, kept: Sequence[str], *, indent: str, newline: str) -> list[str]:
    """Return the lines of a new block, `body` indented by `indent`."""
    inside = [_keep(line, indent, newline) for line in kept]
    inside += [f"{indent}{line}{newline}" if line else newline for line in body.split("\n")]
    return [
        f"{indent}# >>> kohya-presets: {patch}{newline}",
        *inside,
        f"{indent}# <<< kohya-presets: {patch} {_digest(inside, indent)}{newline}",
    ]


def _block(patch: str, lines: Sequence[str], first: int, last: int, digest: str | None) -> Block:
    inside = lines[first + 1 : last]
    indent = indentation(lines[first])
    kept = tuple(_kept(inside))
    return Block(patch, first, last + 1, kept, indent, edited=_digest(inside, indent) != digest)


def _keep(line: str, indent: str, newline: str) -> str:
    # At column 0 where the line has not the block's indentation: what is in front is the line's.
    own = indent if line.startswith(indent) else ""
    ended = line if line.endswith(("\n", "\r")) else line + newline
    return f"{own}# | {ended[len(own) :]}"


def _kept(inside: Sequence[str]) -> Iterator[str]:
    for line in inside:
        match = _KEPT.fullmatch(line)
        if match is None:
            return
        yield match[1] + match[2]


def _digest(inside: Sequence[str], indent: str) -> str:
    # Line ends and the block's own indentation may change without an edit: git and editors do it.
    plain = [line.rstrip("\r\n").removeprefix(indent) for line in inside]
    return hashlib.sha256("\n".join(plain).encode()).hexdigest()[:8]


def _broken(at: int, found: str) -> PatchError:
    return PatchError(
        f"line {at + 1}: expected complete patch blocks, found {found}",
        hint="Restore the marker lines, or delete the rest of the block by hand.",
    )
