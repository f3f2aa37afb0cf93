"""Blocks go in where the anchor stands, and come out without a trace."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from kohya_presets.errors import AnchorError, PatchError
from patches import engine, fences
from patches.engine import Edit

SOURCE = """\
import os


@os.cache
def setup(parser):
    parser.add("--a")
    return parser


def train(args):
    for step in range(3):
        if args.sync:
            count += 1

    save(
        args,
        'model',  # a comment
    )
"""
FILES = ("train.py",)


def edit(anchor: str, where: str, lines: str, function: str | None = None) -> Edit:
    return Edit(FILES, anchor, where, lines, function)  # type: ignore[arg-type]


BEFORE = edit("return parser", "before", "import kp\nkp.options(parser)", "setup")
AFTER = edit("count += 1", "after", "kp.update()")
REPLACE = edit('save(args, "model")', "replace", "kp.save(args)")
DECORATED = edit("def setup(parser): ...", "before", "import kp")
BELOW = edit("def train(args): ...", "after", "kp.done()")
FIRST = edit("import os", "before", "import sys")
INSIDE = edit("for step in range(...): ...", "inside", "if kp.has(step):\n    continue", "train")
ALL = (BEFORE, AFTER, REPLACE, DECORATED, BELOW, FIRST, INSIDE)

# What an editor, git or a person may have done to the file.
DISGUISES = {
    "as it is": lambda s: s,
    "CRLF": lambda s: s.replace("\n", "\r\n"),
    "some lines CRLF": lambda s: s.replace("args,\n", "args,\r\n").replace(
        "parser\n", "parser\r\n"
    ),
    "old Mac": lambda s: s.replace("\n", "\r"),
    "a byte order mark": lambda s: fences.BOM + s,
    "no newline at the end": lambda s: s.removesuffix("\n"),
    "no newline at the end, CRLF": lambda s: s.replace("\n", "\r\n").removesuffix("\r\n"),
    "blank lines at the end": lambda s: s + "\n\n   ",
    "tabs": lambda s: s.replace("    ", "\t"),
    "form feeds": lambda s: s.replace("\n\n\ndef", "\n\n\f\ndef").replace("    save", "\f    save"),
    "trailing blanks": lambda s: s.replace("args,\n", "args,   \t\n").replace("+= 1\n", "+= 1 \n"),
    "another indentation": lambda s: s.replace("    ", "  "),
    "reformatted": lambda s: s.replace("        'model',  # a comment\n", '"model",\n'),
    "letters of other scripts": lambda s: s.replace("# a comment", "# モデル ü"),
    "a long string": lambda s: s.replace("'model'", "'''mod\\\nel'''"),
}


def disguised(name: str) -> str:
    text: str = DISGUISES[name](SOURCE)
    assert (text == SOURCE) is (name == "as it is")
    return text


def test_a_block_stands_between_fences_at_the_anchors_indentation() -> None:
    assert engine.apply(SOURCE, "p", [BEFORE]) == SOURCE.replace(
        "    return parser\n",
        "    # >>> kohya-presets: p\n"
        "    import kp\n"
        "    kp.options(parser)\n"
        "    # <<< kohya-presets: p 64417032\n"
        "    return parser\n",
    )


def test_what_is_replaced_stays_as_a_comment() -> None:
    text = engine.apply(SOURCE, "p", [REPLACE])
    assert text.splitlines()[14:22] == [
        "    # >>> kohya-presets: p",
        "    # | save(",
        "    # |     args,",
        "    # |     'model',  # a comment",
        "    # | )",
        "    kp.save(args)",
        f"    # <<< kohya-presets: p {text.split()[-1]}",
    ]


def test_a_block_goes_above_decorators_and_below_a_whole_body() -> None:
    text = engine.apply(SOURCE, "p", [DECORATED, BELOW])
    assert text.index("import kp") < text.index("@os.cache")
    assert text.index("kp.done()") > text.index("# a comment")
    assert "\nkp.done()" in text


def test_a_block_inside_a_loop_comes_first_in_it() -> None:
    lines = engine.apply(SOURCE, "p", [INSIDE]).splitlines()
    at = lines.index("        # >>> kohya-presets: p")
    assert lines[at - 1 : at + 5 : 2] == [
        "    for step in range(3):",
        "        if kp.has(step):",
        f"        # <<< kohya-presets: p {lines[at + 3].split()[-1]}",
    ]
    assert lines[at + 4] == "        if args.sync:"


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("edits", [*[[e] for e in ALL], list(ALL)], ids=lambda e: str(len(e)))
def test_reverting_restores_every_byte(disguise: str, edits: list[Edit]) -> None:
    text = disguised(disguise)
    patched = engine.apply(text, "p", edits)
    assert patched != text
    assert engine.revert(patched, "p") == text
    assert fences.bare(patched) == text


@pytest.mark.parametrize("disguise", DISGUISES)
def test_applying_twice_is_applying_once(disguise: str) -> None:
    once = engine.apply(disguised(disguise), "p", ALL)
    assert engine.apply(once, "p", ALL) == once


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("back", ["ab", "ba"])
def test_patches_come_and_go_in_any_order(disguise: str, order: str, back: str) -> None:
    text = disguised(disguise)
    edits = {
        "a": (BEFORE, AFTER, REPLACE, BELOW),
        "b": (
            BEFORE,
            AFTER,
            DECORATED,
            BELOW,
            edit("save(...)", "before", "kp.soon()"),
            edit("save(...)", "after", "kp.late()"),
        ),
    }
    patched = text
    for name in order:
        patched = engine.apply(patched, name, edits[name])
    assert patched.index("kp.soon()") < patched.index("kp.save") < patched.index("kp.late()")
    left = engine.revert(patched, back[0])
    assert left == engine.apply(text, back[1], edits[back[1]])
    assert engine.revert(left, back[1]) == text


def test_what_else_was_edited_stays() -> None:
    patched = engine.apply(SOURCE, "p", ALL)
    edited = patched.replace("range(3)", "range(4)").replace("import os\n", "import os, sys\n")
    assert engine.revert(edited, "p") == SOURCE.replace("range(3)", "range(4)").replace(
        "import os\n", "import os, sys\n"
    )


@pytest.mark.parametrize(
    ("source", "given", "said"),
    [
        pytest.param(SOURCE, edit("return nothing", "before", "x"), "found 0", id="missing"),
        pytest.param(SOURCE * 2, BEFORE, "found 2", id="ambiguous"),
        pytest.param(SOURCE, edit("count += 1", "after", "x", "setup"), "in setup", id="elsewhere"),
        pytest.param("count += 1; x = 1\n", AFTER, "shares its line", id="in front of another"),
        pytest.param("if x: count += 1\n", AFTER, "shares its line", id="behind an if"),
        pytest.param("if x: y = 1\n", edit("if x: ...", "inside", "z"), "shares", id="one line"),
        pytest.param("y = 1\n", edit("y = 1", "inside", "z"), "has no body", id="no body"),
        pytest.param("count += 1\nif x\n", AFTER, "not valid Python", id="broken file"),
        pytest.param("count += 1\n\0", AFTER, "not valid Python", id="no text at all"),
    ],
)
def test_an_anchor_that_does_not_fit_is_an_error(source: str, given: Edit, said: str) -> None:
    with pytest.raises(AnchorError, match=said) as caught:
        engine.apply(source, "p", [given])
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "taking",
    [edit("save(...)", "replace", "x = 1"), edit("def train(args): ...", "replace", "x = 1")],
    ids=["the same statement", "one around it"],
)
def test_two_patches_cannot_replace_the_same(taking: Edit) -> None:
    for first, second in ((REPLACE, taking), (taking, REPLACE)):
        patched = engine.apply(SOURCE, "a", [first])
        with pytest.raises(AnchorError, match="is in lines that the patch"):
            engine.apply(patched, "b", [second])


def test_one_patch_cannot_change_the_same_lines_twice() -> None:
    around = edit("def train(args): ...", "replace", "x = 1")
    for edits in ([REPLACE, REPLACE], [around, REPLACE], [around, AFTER]):
        with pytest.raises(AnchorError, match="two edits of p change the same lines"):
            engine.apply(SOURCE, "p", edits)


def test_lines_that_are_no_python_there_are_refused() -> None:
    with pytest.raises(PatchError, match="not valid Python"):
        engine.apply(SOURCE, "p", [edit("count += 1", "after", "from __future__ import x")])


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(("    # >>> kohya-presets: p\n", ""), id="opening gone"),
        pytest.param(("    # <<< kohya-presets: p", "    # p"), id="closing gone"),
        pytest.param(("# >>> kohya-presets: p\n", "# >>> kohya-presets: q\n"), id="renamed"),
        pytest.param(("# >>> kohya-presets: p\n", "# >>> kohya-presets/2: p\n"), id="newer form"),
        pytest.param(
            ("    import kp\n", "    # >>> kohya-presets: p\n    import kp\n"), id="opened twice"
        ),
    ],
)
def test_a_broken_fence_is_an_error(broken: tuple[str, str]) -> None:
    patched = engine.apply(SOURCE, "p", [BEFORE])
    assert broken[0] in patched
    spoiled = patched.replace(*broken)
    for action in (
        lambda: engine.revert(spoiled, "p"),
        lambda: engine.apply(spoiled, "p", [BEFORE]),
        lambda: engine.apply(spoiled, "q", [AFTER]),
    ):
        with pytest.raises(PatchError, match=r"line \d+: expected complete patch blocks"):
            action()
    assert fences.bare(spoiled) == spoiled


@pytest.mark.parametrize(
    "change",
    [("import kp\n", "import kp  # mine\n"), ("    # |     args,\n", ""), (" p 6", " p 7")],
    ids=["a line", "a kept line", "the digest"],
)
def test_a_block_edited_by_hand_is_not_thrown_away(change: tuple[str, str]) -> None:
    patched = engine.apply(SOURCE, "p", [BEFORE, REPLACE])
    assert change[0] in patched
    edited = patched.replace(*change)
    with pytest.raises(PatchError, match="edited by hand"):
        engine.revert(edited, "p")
    with pytest.raises(PatchError, match="edited by hand"):
        engine.apply(edited, "p", [BEFORE])
    assert "kp" not in engine.revert(edited, "p", even_edited=True)


def test_line_ends_changed_by_git_are_no_edit() -> None:
    patched = engine.apply(SOURCE, "p", ALL).replace("\n", "\r\n")
    assert engine.revert(patched, "p") == SOURCE.replace("\n", "\r\n")


def test_an_older_versions_block_is_replaced() -> None:
    old = engine.apply(SOURCE, "p", [edit("count += 1", "after", "kp.old()")])
    assert engine.apply(old, "p", [AFTER]) == engine.apply(SOURCE, "p", [AFTER])


LINES = st.lists(
    st.sampled_from(["x = 1", "y = 2", "if a:", "    z = 3", "", "    ", "# | x", "  # c", "\f"]),
    max_size=12,
)


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.data())
@example(["if a:", "    z = 3"], "\n", False, None)
def test_any_file_comes_back(lines: list[str], end: str, closed: bool, data: object) -> None:
    text = end.join(lines) + (end if closed else "")
    edits = [edit("z = 3", "replace", "w = 4"), edit("x = 1", "after", "v = 5\n\nu = 6")]
    for chosen in ([edits[0]], [edits[1]], edits):
        try:
            patched = engine.apply(text, "p", chosen)
        except AnchorError:
            continue
        assert engine.revert(patched, "p") == text


PLACES = ("x = 1", "if a: ...", "y = 2", "if b: ...", "z = 3", "w = 4", "return _")
NESTED = """\
def f():
    x = 1
    if a:
        y = 2
        if b:
            z = 3
    w = 4
    return w"""
EDITS = st.builds(
    edit,
    st.sampled_from(PLACES),
    st.sampled_from(["before", "after", "inside", "replace"]),
    st.sampled_from(["kp.one()", "kp.two()\n\nkp.three()"]),
)
PATCHES = st.dictionaries(st.sampled_from("abcd"), st.lists(EDITS, min_size=1, max_size=3))


def applied(text: str, names: Iterable[str], patches: dict[str, list[Edit]]) -> str:
    for name in names:
        text = engine.apply(text, name, patches[name])
    return text


@settings(deadline=None)  # 24 orders of four patches
@given(PATCHES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.data())
def test_a_file_depends_on_its_patches_alone_not_on_what_was_done_when(
    patches: dict[str, list[Edit]], end: str, closed: bool, data: st.DataObject
) -> None:
    text = NESTED.replace("\n", end) + (end if closed else "")
    made = set()
    for order in itertools.permutations(patches):
        try:
            made.add(applied(text, order, patches))
        except AnchorError:  # one replaces what another one needs: it does so in any order
            made.add("")
    (patched,) = made
    assume(patched)
    for name in patches:  # none of them is outdated
        assert engine.apply(patched, name, patches[name]) == patched
    back = data.draw(st.permutations(sorted(patches)))
    for gone, name in enumerate(back, start=1):
        patched = engine.revert(patched, name)
        assert patched == applied(text, back[gone:], patches)
    assert patched == text


def test_patches_that_an_earlier_version_ordered_otherwise_come_out_whole() -> None:
    edits = {name: [edit("count += 1", "before", f"kp.{name}()")] for name in "ab"}
    ordered = applied(SOURCE, "ab", edits)
    first, second = (
        engine.apply(SOURCE, name, edits[name]).splitlines(True)[12:15] for name in "ab"
    )
    block = "".join((*first, *second))
    assert block in ordered
    other = ordered.replace(block, "".join((*second, *first)))
    for name, left in (("a", "b"), ("b", "a")):
        assert engine.revert(other, name) == engine.apply(SOURCE, left, edits[left])
    assert engine.apply(other, "a", edits["a"]) == ordered
