"""The pages name what exists: links, commands and their options, paths of this repository."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kohya_presets.presets.catalogue import SHIPPED
from wrapper.cli import cli
from wrapper.system import proc

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / "patches").rglob("README.md"),
    ROOT / "wrapper/rehearsal/standin/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
LONGEST_README = 100  # lines: a screen and a half, without what a rehearsal prints
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
TOPS = ("kohya_presets", "patches", "wrapper", "tests", "tools", "bench", "docs")
NAMED = re.compile(rf"(?<![\w/.~$-])(?:{'|'.join(TOPS)})/[\w./-]*\w/?")
# By who follows CONTRIBUTING.md, and by the build of a wheel.
TO_BE_MADE = ("gentle.toml", "patches/signum", "kp_signum", "_installed")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """Return the page without its fenced blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", t)) for t in titles)
    return {title.strip().lower().replace(" ", "-") for title in kept}


def shell_lines(page: Path) -> Iterator[str]:
    """Yield the command lines of a page: all of ```sh blocks, of others those that begin with $."""
    for language, text in FENCE.findall(page.read_text("utf-8")):
        for line in text.replace("\\\n", " ").splitlines():
            if language == "sh":
                yield line.strip()
            elif line.startswith("$ "):
                yield line[2:]


COMMANDS = [
    pytest.param(words, id=f"{page.name}: {shlex.join(words)[:60]}")
    for page in PAGES
    for line in shell_lines(page)
    for words in [shlex.split(line, comments=True)]
    if words[:1] == ["kohya-presets"]
]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name(page)}: {target}"
        if anchor:
            assert anchor in headings(there), f"{name(page)}: {target}"


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_line_names_a_command_and_options_that_exist(words: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli, info_name="kohya-presets")
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"no command {rest[0]!r}"
        command, rest = found, rest[1:]
    known = {o for p in command.get_params(context) for o in (*p.opts, *p.secondary_opts)}
    given = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert given <= known


def test_the_pages_have_commands_to_look_at() -> None:
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_path_of_this_repository_exists(page: Path) -> None:
    for path in NAMED.findall(prose(page)):
        if not any(made in path for made in TO_BE_MADE):
            assert (ROOT / path).exists(), f"{name(page)}: {path}"


def test_the_readme_is_a_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= LONGEST_README


# Commands whose output is the same on every computer, and takes no time.
LIGHT = ("list", "show", "diff", "explain", "validate", "render")


def sessions() -> Iterator[tuple[str, list[str], str]]:
    """Yield the page, the words and the printed output of each light command in a page."""
    for page in PAGES:
        for language, text in FENCE.findall(page.read_text("utf-8")):
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:] if not language else ():
                line, _, printed = part.replace("\\\n", " ").partition("\n")
                words = shlex.split(line, comments=True)
                names_a_file = any("/" in word or "~" in word or ".toml" in word for word in words)
                if words[:1] == ["kohya-presets"] and words[1] in LIGHT and not names_a_file:
                    yield name(page), words[1:], printed


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        pytest.param(words, printed, id=f"{page}: {shlex.join(words)[:60]}")
        for page, words, printed in sessions()
    ],
)
def test_what_a_page_says_that_a_command_prints_is_what_it_prints(
    words: list[str], printed: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "kohya_presets", *words]
    home = {"KOHYA_PRESETS_HOME": str(tmp_path)}
    result = proc.run(command, cwd=tmp_path, env=home, check=False)
    said = flowed((result.stdout + result.stderr).replace(f"{SHIPPED}{os.sep}", ""))
    whole, left_out, _ = flowed(printed).partition(" ...")
    assert said == whole or (left_out and said.startswith(whole))


def flowed(text: str) -> str:
    """Return the words of a text, wherever its lines are broken."""
    return " ".join(text.split())
