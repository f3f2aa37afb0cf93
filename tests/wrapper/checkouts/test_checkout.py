"""Getting, knowing and deleting checkouts, and every way in which that fails."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.errors import UserError
from kohya_presets.sdscripts import releases
from kohya_presets.sdscripts.releases import Release
from tests.wrapper import lookalike
from wrapper.checkouts import checkout, recognize
from wrapper.checkouts.acquire import Unreachable
from wrapper.checkouts.checkout import Checkout
from wrapper.system import paths, proc


def add(wanted: str | None = None, source: object = None) -> Checkout:
    return checkout.add(wanted, source=str(source) if source else None, on_step=lambda _: None)


def left() -> set[str]:
    """Return what lies in the folder of checkouts, lock files aside."""
    folder = paths.checkouts()
    return {f.name for f in folder.iterdir()} - {".lock"} if folder.exists() else set()


@pytest.fixture
def origin(tmp_path: Path) -> tuple[Path, str]:
    folder = lookalike.write(tmp_path / "some where ü" / "sd-scripts")
    return folder, lookalike.commit(folder)


@pytest.fixture
def known(origin: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Release:
    """Make the lookalike's commit a known release, v0.7.0."""
    folder, commit = origin
    prints = {file: recognize._fingerprint(folder / file) for file in releases.IDENTIFYING}
    release = Release("v0.7.0", commit, "2023-10-11", prints)
    monkeypatch.setattr(releases, "every", lambda: (release,))
    return release


def test_a_commit_is_got_with_only_the_needed_files(origin: tuple[Path, str]) -> None:
    folder, commit = origin
    made = add(commit, folder)
    assert made.commit == commit
    assert lookalike.found(made.scripts) == lookalike.NEEDED
    assert (made.scripts / "library/train_util.py").read_bytes() == "z = 'ü'\n".encode()
    assert checkout.listing() == (made,)
    assert checkout.find(commit[:9]) == made


def test_a_release_is_got_from_a_remote_given_by_the_environment(
    origin: tuple[Path, str], known: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SD_SCRIPTS_REMOTE", origin[0].as_uri().replace("%20", " "))
    made = add("0.7.0")
    assert (made.release, made.commit) == ("v0.7.0", known.commit)
    assert made.folder.parent == paths.checkouts() / "v0.7.0"


def test_the_same_again_is_the_one_that_is_there(origin: tuple[Path, str], known: Release) -> None:
    made = add("v0.7.0", origin[0])
    assert add("v0.7.0", "https://nowhere.invalid/x") == made


def test_a_plain_folder_is_copied_as_it_stands(tmp_path: Path) -> None:
    made = add(None, lookalike.write(tmp_path / "plain"))
    assert (made.release, made.commit) == (None, None)
    assert lookalike.found(made.scripts) == lookalike.NEEDED
    assert left() == {made.folder.parent.name}


def test_an_untouched_clone_is_known_by_its_commit(origin: tuple[Path, str]) -> None:
    assert add(None, origin[0]).commit == origin[1]


def test_a_zip_with_one_top_folder_is_taken(tmp_path: Path, known: Release) -> None:
    archive = tmp_path / "sd-scripts-0.7.0.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name, text in lookalike.FILES.items():
            opened.writestr(f"sd-scripts-0.7.0/{name}", text)
    made = add("v0.7.0", archive)
    assert (made.release, made.commit) == ("v0.7.0", known.commit)
    assert lookalike.found(made.scripts) == lookalike.NEEDED


def test_another_release_than_asked_for_is_refused(tmp_path: Path, known: Release) -> None:
    folder = lookalike.write(tmp_path / "other")
    (folder / "sdxl_train.py").write_text("other = 1\n", "utf-8")
    with pytest.raises(UserError, match=r"expected sd-scripts v0\.7\.0"):
        add("v0.7.0", folder)
    assert left() == set()


def test_a_folder_that_is_no_sd_scripts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    with pytest.raises(UserError, match=r"does not contain sd-scripts: it has no sdxl_train\.py"):
        add(None, tmp_path / "music")
    assert left() == set()


@pytest.mark.parametrize("content", [b"no zip", b"PK\x05\x06" + bytes(18)])
def test_a_zip_that_is_none_or_empty_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError):
        add(None, tmp_path / "a.zip")
    assert left() == set()


def test_a_zip_cannot_write_outside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("a/library/../../../evil.py", "x")
    with pytest.raises(UserError, match="outside its folder"):
        add(None, tmp_path / "a.zip")
    assert left() == set()


def test_an_unreachable_remote_says_what_else_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="could not be reached") as caught:
        add("v0.10.1", (tmp_path / "gone.git").as_uri())
    assert "--from" in (caught.value.hint or "")
    assert left() == set()


def test_a_path_that_is_not_there_is_no_remote(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a URL, a folder or a zip"):
        add("v0.10.1", tmp_path / "gone")


def test_a_commit_the_remote_does_not_have(origin: tuple[Path, str]) -> None:
    with pytest.raises(UserError, match="does not have the commit"):
        add("f" * 40, origin[0])
    assert left() == set()


def test_an_unknown_tag_suggests_a_near_one() -> None:
    with pytest.raises(UserError, match=r"no release 'v0\.10\.11'") as caught:
        add("v0.10.11")
    assert "v0.10.1" in (caught.value.hint or "")


def test_a_short_commit_is_asked_for_in_full() -> None:
    with pytest.raises(UserError, match="full commit of 40 digits"):
        add("abcdef1")


@pytest.fixture
def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a `git` on PATH that runs a line of shell."""
    if os.name == "nt":
        pytest.skip("a shell script stands in for git")

    def install(line: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "git").write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        (folder / "git").chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return install


def test_a_full_disk_is_named(fake_git: Callable[[str], None]) -> None:
    fake_git("echo 'fatal: write error: No space left on device' >&2; exit 128")
    with pytest.raises(UserError, match="the disk is full") as caught:
        add("v0.10.1")
    assert "KOHYA_PRESETS_HOME" in (caught.value.hint or "")
    assert left() == set()


def test_a_missing_git_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="git was not found"):
        add("v0.10.1")
    assert left() == set()


def test_an_interrupted_clone_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> proc.Result:
        raise KeyboardInterrupt

    monkeypatch.setattr(proc, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add("v0.10.1")
    assert left() == set()


def test_what_a_killed_call_left_is_cleared_by_the_next(origin: tuple[Path, str]) -> None:
    half = paths.checkouts() / ".adding-x" / "sd-scripts"
    half.mkdir(parents=True)
    (half / "sdxl_train.py").touch()
    made = add(origin[1], origin[0])
    assert left() == {made.folder.parent.name}


def test_a_checkout_with_edits_is_not_deleted_unasked(
    origin: tuple[Path, str], known: Release
) -> None:
    made = add("v0.7.0", origin[0])
    fence = "# >>> kohya-presets: ema\nx\n# <<< kohya-presets: ema\n"
    train = made.scripts / "sdxl_train.py"
    train.write_text(fence + train.read_text("utf-8"), "utf-8", newline="\r\n")
    assert checkout.edits(made) == []
    train.write_text("mine = 1\n", "utf-8")
    with pytest.raises(UserError, match=r"were edited: sdxl_train\.py"):
        checkout.remove("v0.7.0")
    checkout.remove("v0.7.0", force=True)
    assert left() == set()


def test_removing_what_is_not_there_says_how_to_get_it() -> None:
    with pytest.raises(UserError, match=r"no checkout of v0\.9\.1") as caught:
        checkout.remove("v0.9.1")
    assert "checkout add v0.9.1" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("sign", "inside", "layout"),
    [
        (None, "", "plain"),
        ("kohya_gui.py", "", "gui-v22"),
        ("gui.sh", "sd-scripts", "gui-v23"),
    ],
)
def test_a_users_folder_is_known_by_what_lies_in_it(
    sign: str | None, inside: str, layout: str, tmp_path: Path
) -> None:
    lookalike.write(tmp_path / "gui" / inside)
    if sign:
        (tmp_path / "gui" / sign).touch()
    found = checkout.open_folder(tmp_path / "gui")
    assert (found.layout, found.scripts) == (layout, tmp_path / "gui" / inside)
    assert found.release is None


def test_a_gui_whose_scripts_were_never_fetched_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "gui.sh").touch()
    (tmp_path / "sd-scripts").mkdir()
    with pytest.raises(UserError) as caught:
        checkout.open_folder(tmp_path)
    assert "Run the setup of the GUI" in (caught.value.hint or "")


@pytest.mark.upstream
@pytest.mark.parametrize("tag", ["v0.7.1", "v0.8.7", "v0.10.1", "v0.11.1"])
def test_the_real_releases_are_got_and_known(tag: str, upstream: Callable[[str], Checkout]) -> None:
    made = upstream(tag)
    assert made.release == tag
    assert tag in recognize.likeness(made.scripts).exact
    assert made.commit == releases.find(tag).commit
    assert not list(made.scripts.rglob("*.dll"))
    # As a user's own folder, without our record of it.
    assert recognize.scripts_in(made.scripts) == (made.scripts, "plain")


@pytest.mark.upstream
@pytest.mark.parametrize("tag", ["v0.7.1", "v0.8.7", "v0.10.1", "v0.11.1"])
def test_a_changed_release_is_still_like_itself(
    tag: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    copy = tmp_path / "mine"
    checkout.acquire.from_folder(upstream(tag).scripts, copy)
    with (copy / "sdxl_train.py").open("a", encoding="utf-8") as script:
        script.write("\nmine = True\n")
    found = recognize.likeness(copy)
    assert found.exact == ()
    newest_alike = {"v0.8.7": "v0.8.8"}.get(tag, tag)  # the same options
    assert found.like == newest_alike


REASONS = {
    "fatal: unable to access 'https://x/': Could not resolve host: x": "Could not resolve host: x",
    "ssh: Could not resolve hostname x: Name or service not known\n"
    "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access "
    "rights\nand the repository exists.": "ssh: Could not resolve hostname x: Name or service not",
    "fatal: '/x.git' does not appear to be a git repository\n"
    "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access "
    "rights\nand the repository exists.": "'/x.git' does not appear to be a git repository",
    "warning: redirecting to https://y\nremote: Repository not found.\n"
    "fatal: repository 'https://y/' not found": "remote: Repository not found.; fatal: repository",
    "error: RPC failed; curl 56 Recv failure\nfatal: the remote end hung up": "error: RPC failed",
    "fatal: Could not read from remote repository.\nPlease make sure you have the correct access "
    "rights": "fatal: Could not read from remote repository.",
    "": "it gave no reason",
}


@pytest.mark.parametrize("said", REASONS)
def test_the_reason_is_gits_own(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = proc.run

    def run(argv: Sequence[str | Path], **options: Any) -> proc.Result:
        if "fetch" in argv:
            return proc.Result(tuple(map(str, argv)), 128, "", said)
        return real(argv, **options)

    monkeypatch.setattr(proc, "run", run)
    with pytest.raises(Unreachable) as caught:
        add("v0.10.1", "https://x.invalid/y.git")
    assert REASONS[said] in str(caught.value)
    assert "and the repository exists" not in str(caught.value)
