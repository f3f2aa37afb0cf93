"""Put fenced blocks of lines into someone else's Python file, and take them out again.

A patch only ever adds whole lines between two marks; what it replaces stays between them as a
comment. So reverting needs no backup, and whatever else the user edited stays as it was.
"""

from __future__ import annotations

import ast
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from kohya_presets.errors import AnchorError, PatchError
from patches import anchors, fences
from patches.fences import BOM, Block


@dataclass(frozen=True)
class Edit:
    """Put `lines` at the one statement that reads as `anchor`; see `anchors` for what matches.

    `inside` is before the first statement of its body. `files` are where it may stand, relative to
    the scripts (or to the Kohya GUI's folder, where `root` says so); it stands in exactly one of
    those that are there.
    """

    files: tuple[str, ...]
    anchor: str
    where: Literal["before", "after", "inside", "replace"]
    lines: str
    function: str | None = None
    root: Literal["scripts", "gui"] = "scripts"


class _Spot(NamedTuple):
    """Where a block goes: in place of `lines[at : end]`, of none where both are the same."""

    at: int
    end: int
    shallow: int  # of blocks at one place, the deepest belongs to what is above: it comes first
    below: bool  # then what belongs to the statement above, before what belongs to the one below
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
    spots = sorted(_spots(lines, patch, edits))
    if any(itertools.starmap(_overlap, itertools.pairwise(spots))):
        raise AnchorError(
            f"two edits of {patch} change the same lines", hint="Write one edit for both of them."
        )
    # From the bottom up, so that the line numbers still to be used stay true.
    for spot in reversed(spots):
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
            hint="Move your edit elsewhere, or discard it with `patch revert --force`.",
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


def _spots(lines: list[str], patch: str, edits: Sequence[Edit]) -> Iterator[_Spot]:
    """Yield where each edit goes. Anchors are looked for in the file as it is without patches."""
    blocks = fences.blocks(lines)
    plain = fences.without(lines, blocks)
    tree = _parsed("".join(plain), "".join(lines))
    origins = _origins(len(lines), blocks)
    for order, edit in enumerate(edits):
        found = _found(tree, edit)
        if len(found) != 1:
            raise _not_once(edit, len(found))
        target = found[0]
        if edit.where == "inside":
            target = _first_inside(target, edit)
        if anchors.shares_a_line(target, plain):
            raise AnchorError(
                f"`{edit.anchor}` shares its line with another statement",
                hint="Put each statement on a line of its own.",
            )
        first, end = anchors.lines_of(target)
        at, to = _in_patched(origins[first:end], edit)
        indent = fences.indentation(plain[first])
        if edit.where == "after":
            at = to = _in_turn(blocks, to, patch, indent)
        elif edit.where == "replace":
            for block in blocks:  # at the end of its nested bodies
                if block.first == to and len(block.indent) > len(indent):
                    raise _taken(edit, block.patch)
        else:
            above = origins[first - 1][1] if first else 0
            at = to = _in_turn(blocks, above, patch, indent)
        newline = _newline(plain[first]) or _newline(plain[0]) or "\n"
        below = edit.where != "after"
        yield _Spot(at, to, -len(indent), below, order, edit.lines, indent, newline)


def _overlap(above: _Spot, below: _Spot) -> bool:
    """Return whether `above` takes away what `below` needs, up to the end of a nested body."""
    nested = above.end > above.at and below.shallow < above.shallow
    return above.end > below.at or (above.end == below.at and nested)


def _first_inside(statement: ast.stmt, edit: Edit) -> ast.stmt:
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body:
        return cast("ast.stmt", body[0])
    raise AnchorError(f"`{edit.anchor}` has no body", hint="Use another `where` in the patch.")


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


def _in_turn(blocks: Sequence[Block], above: int, patch: str, indent: str) -> int:
    """Return where a block goes among those that patches have put at the same place.

    `above` is the first line of that place. The deepest belong to the end of a nested body, and
    come first; those of one depth are in the order of their patches' names. So the file is the
    same in whatever order the patches were applied.
    """
    at = above
    for block in blocks:
        if block.first == at and not block.kept:
            if (-len(block.indent), block.patch) > (-len(indent), patch):
                break
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
