"""Put fenced blocks of lines into someone else's Python file, and take them out again.

A patch only ever adds whole lines between two marks; what it replaces stays between them as a
comment. So reverting needs no backup, and whatever else the user edited stays as it was.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kohya_presets.errors import AnchorError, PatchError
from patches import anchors, fences
from patches.fences import BOM, Block


@dataclass(frozen=True)
class Edit:
    """Put `lines` at the one statement that reads as `anchor`; see `anchors` for what matches.

    `files` are where it may stand, relative to the scripts (or to the Kohya GUI's folder, where
    `root` says so); it stands in exactly one of those that are there.
    """

    files: tuple[str, ...]
    anchor: str
    where: Literal["before", "after", "replace"]
    lines: str
    function: str | None = None
    root: Literal["scripts", "gui"] = "scripts"


class _Spot(NamedTuple):
    """Where a block goes: in place of `lines[at : end]`, of none where both are the same."""

    at: int
    end: int
    shallow: int  # of blocks at one place, the deepest belongs to what is above: it comes first
    order: int  # and otherwise, as the patch lists them
    lines: str
    indent: str
    newline: str


def apply(text: str, patch: str, edits: Sequence[Edit]) -> str:
    """Return `text` with every edit made; applying twice is the same as applying once.

    Raises:
        AnchorError: an anchor is not there exactly once, or inside what another patch replaced.
        PatchError: a fence is broken, or a block of this patch was edited by hand.
    """
    if text.startswith(BOM):
        return BOM + apply(text.removeprefix(BOM), patch, edits)
    clean = revert(text, patch)
    lines = fences.split(clean)
    # From the bottom up, so that the line numbers still to be used stay true.
    for spot in sorted(_spots(lines, edits), reverse=True):
        _put(lines, patch, spot)
    patched = "".join(lines)
    if revert(patched, patch) != clean:
        raise AssertionError(f"BUG: patch {patch!r} could not be taken out again")
    try:
        compile(patched, patch, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise PatchError(
            f"the lines of {patch} are not valid Python in this place: {error}"
        ) from error
    return patched


def revert(text: str, patch: str, *, even_edited: bool = False) -> str:
    """Return `text` without the blocks of `patch`; a file that has none comes back unchanged.

    Raises:
        PatchError: a fence is broken, or a block was edited by hand (unless `even_edited`).
    """
    if text.startswith(BOM):
        return BOM + revert(text.removeprefix(BOM), patch, even_edited=even_edited)
    lines = fences.split(text)
    own = [block for block in fences.blocks(lines) if block.patch == patch]
    if not even_edited and (edited := next((b for b in own if b.edited), None)):
        raise PatchError(
            f"line {edited.first + 1}: the block of {patch!r} was edited by hand",
            hint="Move your edit elsewhere, or discard it with `patch revert --even-edited`.",
        )
    return "".join(fences.without(lines, own))


def count(text: str, edit: Edit) -> int:
    """Return how often the anchor of `edit` stands in a file, patches aside."""
    return len(_found(_parsed(fences.bare(text).removeprefix(BOM), text.removeprefix(BOM)), edit))


def _parsed(bare: str, patched: str) -> ast.Module:
    """Return the syntax tree of a file without its patches; with them, its lines have numbers."""
    try:
        return ast.parse(bare)
    except (SyntaxError, ValueError) as error:
        raise AnchorError(
            f"the file is not valid Python: {_fault(patched) or error}",
            hint="Undo the edit that broke the file, then try again.",
        ) from error


def _fault(text: str) -> str | None:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
    except ValueError:
        pass
    return None


def _found(tree: ast.Module, edit: Edit) -> list[ast.stmt]:
    return anchors.find(tree, anchors.parse(edit.anchor), edit.function)


def _spots(lines: list[str], edits: Sequence[Edit]) -> Iterator[_Spot]:
    """Yield where each edit goes. Anchors are looked for in the file as it is without patches."""
    blocks = fences.blocks(lines)
    plain = fences.without(lines, blocks)
    tree = _parsed("".join(plain), "".join(lines))
    origins = _origins(len(lines), blocks)
    for order, edit in enumerate(edits):
        found = _found(tree, edit)
        if len(found) != 1:
            raise _not_once(edit, len(found))
        if anchors.shares_a_line(found[0], plain):
            raise AnchorError(
                f"`{edit.anchor}` shares its line with another statement",
                hint="Put each statement on a line of its own.",
            )
        first, end = anchors.lines_of(found[0])
        at, to = _in_patched(origins[first:end], edit)
        indent = fences.indentation(plain[first])
        if edit.where == "after":
            to = _past_deeper(blocks, to, indent)
        place = {"before": (at, at), "after": (to, to), "replace": (at, to)}[edit.where]
        newline = _newline(plain[first]) or _newline(lines[0]) or "\n"
        yield _Spot(*place, -len(indent), order, edit.lines, indent, newline)


def _origins(count: int, blocks: Sequence[Block]) -> list[tuple[int, int, Block | None]]:
    """Return for each line of the file without patches: its place in the patched one.

    Of a line that a block keeps, that is the block's first line and the one after its last.
    """
    origins: list[tuple[int, int, Block | None]] = []
    at = 0
    for block in blocks:
        origins += [(line, line + 1, None) for line in range(at, block.first)]
        origins += [(block.first, block.end, block)] * len(block.kept)
        at = block.end
    return origins + [(line, line + 1, None) for line in range(at, count)]


def _in_patched(origins: Sequence[tuple[int, int, Block | None]], edit: Edit) -> tuple[int, int]:
    (at, _, above), (_, to, below) = origins[0], origins[-1]
    for block in (above, below):
        # All that this block keeps is of the anchor, or another patch has taken the anchor away.
        if block and sum(b is block for _, _, b in origins) < len(block.kept):
            raise _taken(edit, block.patch)
    if edit.where == "replace" and to - at != len(origins):
        raise _taken(edit, "another one" if above is None else above.patch)
    return at, to


def _past_deeper(blocks: Sequence[Block], at: int, indent: str) -> int:
    """Return the line below the blocks at `at` that belong to the end of a nested body."""
    for block in blocks:
        if block.first == at and not block.kept and len(block.indent) > len(indent):
            at = block.end
    return at


def _taken(edit: Edit, patch: str) -> AnchorError:
    return AnchorError(
        f"`{edit.anchor}` is in lines that the patch {patch!r} changed",
        hint=f"Revert {patch} first: the two patches cannot be combined.",
    )


def _not_once(edit: Edit, found: int) -> AnchorError:
    where = f"{edit.function}()" if edit.function else "the file"
    return AnchorError(
        f"expected one `{edit.anchor}` in {where}, found {found}",
        hint="Use an sd-scripts release that the patch supports.",
    )


def _put(lines: list[str], patch: str, spot: _Spot) -> None:
    body = textwrap.dedent(spot.lines).strip("\n")
    replaced = lines[spot.at : spot.end]
    block = fences.block(patch, body, replaced, indent=spot.indent, newline=spot.newline)
    if spot.end == len(lines) and not _newline(lines[-1]):
        block[-1] = block[-1].removesuffix(spot.newline)  # see fences.without
        if not replaced:
            lines[-1] += spot.newline
    lines[spot.at : spot.end] = block


def _newline(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
