"""Copies of a managed checkout with patches: what is in them, and that nothing else changes."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kohya_presets.errors import AnchorError, PatchError, UserError
from patches import registry
from patches.registry import Patch
from tests.wrapper import lookalike
from tests.wrapper.checkouts.test_patchwork import contents
from tests.wrapper.cli.test_cli import run, typed
from wrapper.checkouts import checkout, patchwork, trees
from wrapper.checkouts.checkout import Checkout
from wrapper.environments import environment
from wrapper.planning import trainer
from wrapper.rehearsal.adapt import STANDIN
from wrapper.screen.talk import Talk
from wrapper.system import folders, proc, rewrite, sizes
from wrapper.system.launch import RUN_MARK

EMA, ADACOOR = registry.find("ema"), registry.find("adacoor")
PIPE = -1  # subprocess.PIPE
posix = pytest.mark.skipif(os.name != "posix", reason="an open file cannot be renamed")

Start = Callable[..., psutil.Popen]


@pytest.fixture
def base(tmp_path: Path) -> Checkout:
    """Return a checkout of ours, of the stand-in's scripts."""
    return checkout.add(None, source=str(STANDIN), on_step=print)


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a process and waits until it is ready."""
    started: list[psutil.Popen] = []

    def go(code: str, *words: str | Path) -> psutil.Popen:
        code += "; import time; print('ready', flush=True); time.sleep(60)"
        argv = [sys.executable, "-c", code, *map(str, words)]
        started.append(psutil.Popen(argv, stdout=PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield go
    for process in started:
        if process.is_running():
            process.kill()
        process.communicate()


def with_patches(found: Checkout, *patches: Patch) -> Checkout:
    return trees.with_patches(found, patches, on_step=print)


def patch_in_place(found: Checkout, *patches: Patch) -> None:
    """Patch a checkout itself, as an earlier version did."""
    rewrite.carry_out(patchwork.applying(found, patches))


def names(found: Checkout) -> set[str]:
    """Return what is in the folder of the copies of a checkout."""
    assert found.place
    folder = found.place / checkout.COPIES
    return {at.name for at in folder.iterdir()} if folder.exists() else set()


def test_without_patches_it_is_the_checkout_itself(base: Checkout) -> None:
    assert with_patches(base) == base
    assert names(base) == set()


def test_patches_go_into_a_copy_and_the_checkout_stays(base: Checkout, tmp_path: Path) -> None:
    before = contents(base.folder)
    made = with_patches(base, ADACOOR, EMA)
    assert contents(base.folder) == before
    assert made.is_copy
    assert dict(made.patches) == {"adacoor": ADACOOR.sha256(), "ema": EMA.sha256()}
    assert patchwork.carried(made) == {"adacoor", "ema"}

    users = checkout.open_folder(shutil.copytree(base.folder, tmp_path / "mine"))
    patch_in_place(users, ADACOOR, EMA)
    assert contents(made.folder) == contents(users.folder)


def test_one_set_is_one_copy_in_any_order_and_another_set_another(base: Checkout) -> None:
    made = with_patches(base, ADACOOR, EMA)
    assert with_patches(base, EMA, ADACOOR, EMA) == made
    assert with_patches(made, EMA, ADACOOR) == made  # also asked of the copy
    other = with_patches(made, EMA)
    assert patchwork.carried(other) == {"ema"}
    assert with_patches(made) == base
    assert names(base) == {made.folder.parent.name, other.folder.parent.name}


def test_a_patch_with_another_content_is_another_copy(base: Checkout, tmp_path: Path) -> None:
    mine = shutil.copytree(EMA.folder, tmp_path / "ema")
    with (mine / "kp_ema.py").open("a", encoding="utf-8") as file:
        file.write("# mine\n")
    made, other = with_patches(base, EMA), with_patches(base, registry.load(mine))
    assert made.folder != other.folder
    assert (other.folder / "library/kp_ema.py").read_text("utf-8").endswith("# mine\n")


def test_only_what_the_patches_change_takes_space(base: Checkout) -> None:
    made = with_patches(base, EMA)
    own = {f.name for f in made.folder.rglob("*") if f.is_file() and f.stat().st_nlink == 1}
    runtime = {file.name for file in EMA.runtime}
    assert own == {"sdxl_train.py", *runtime}
    place = made.folder.parent
    taken, all_of_it = sizes.own(place), sizes.of(place.parent.parent)
    assert taken < sizes.of(place)
    folders.delete(place)
    assert sizes.of(place.parent.parent) == all_of_it - taken


@pytest.mark.parametrize("reverse", [False, True])
def test_no_edit_goes_through_a_link(reverse: bool, base: Checkout) -> None:
    """Neither from the copy into the checkout, nor the other way round."""
    made = with_patches(base, EMA)
    changed, stays = (base, made) if reverse else (made, base)
    before = contents(stays.folder)
    linked = changed.folder / "library/train_util.py"
    assert linked.stat().st_nlink > 1
    patch_in_place(changed, ADACOOR)
    assert b"AdaCoor" in linked.read_bytes()
    rewrite.carry_out(patchwork.reverting(changed, ["adacoor"]))
    for change in patchwork.applying(changed, [ADACOOR]):
        rewrite.carry_out([change])
    assert contents(stays.folder) == before


def test_where_there_are_no_links_files_are_copied(
    base: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    made = with_patches(base, EMA)
    assert {f.stat().st_nlink for f in made.folder.rglob("*") if f.is_file()} == {1}
    assert patchwork.carried(made) == {"ema"}


def test_the_commit_is_that_of_the_checkout(tmp_path: Path) -> None:
    """sd-scripts writes into each LoRA what git says."""
    origin = lookalike.write(tmp_path / "origin")
    for file in STANDIN.rglob("*.py"):
        target = origin / file.relative_to(STANDIN)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(file, target)
    commit = lookalike.commit(origin)
    made = with_patches(checkout.add(commit, source=str(origin), on_step=print), EMA)
    said = proc.run(["git", "rev-parse", "HEAD"], cwd=made.scripts / "library").stdout
    assert said.strip() == commit == made.commit


def test_a_copy_is_known_by_its_folder_and_uses_the_same_environment(
    base: Checkout, tmp_path: Path
) -> None:
    made = with_patches(base, EMA)
    assert checkout.open_folder(made.folder) == made
    assert checkout.listing() == (base,)
    assert environment.folder(made) == environment.folder(base)
    if os.name == "posix":
        (tmp_path / "link").symlink_to(made.folder.parent)
        assert checkout.open_folder(tmp_path / "link") == made


def test_where_it_will_be_is_known_before(base: Checkout) -> None:
    before = trees.foreseen(base, [EMA])
    assert not before.exists()
    assert with_patches(base, EMA).scripts == before
    assert trees.foreseen(base, []) == base.scripts


def test_a_patch_that_does_not_fit_leaves_nothing(base: Checkout) -> None:
    script = base.scripts / "sdxl_train.py"
    script.write_text(script.read_text("utf-8").replace("global_step += 1", "pass"), "utf-8")
    with pytest.raises(AnchorError):
        with_patches(base, EMA)
    assert names(base) == set()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_copy_leaves_nothing(
    error: BaseException, base: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(trees, "_write_record", stop)
    with pytest.raises((UserError, KeyboardInterrupt)) as caught:
        with_patches(base, EMA)
    if isinstance(caught.value, UserError):
        assert "No space left on device" in str(caught.value)
    assert names(base) == set()


def test_what_a_killed_process_left_is_no_copy_and_is_cleared(base: Checkout) -> None:
    assert base.place
    half = base.place / checkout.COPIES / f"{folders.MAKING}x"
    half.mkdir(parents=True)
    shutil.copy(base.place / checkout.RECORD, half)
    assert checkout.copies(base.place) == []
    made = with_patches(base, EMA)
    assert names(base) == {made.folder.parent.name}


def test_who_makes_the_same_at_once_gets_the_same(base: Checkout, start: Start) -> None:
    code = "from wrapper.cli import main; main()"
    words = ("patch", "apply", "ema", "adacoor", "--checkout", str(base.folder))
    both = [
        psutil.Popen([sys.executable, "-c", code, *words], stdout=PIPE, stderr=PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0, 0], said
    (folder,) = {out.strip() for out, _ in said}
    assert sum("creating a copy" in err for _, err in said) == 1
    assert patchwork.carried(checkout.open_folder(Path(folder))) == {"ema", "adacoor"}
    assert names(base) == {Path(folder).parent.name}


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_at_any_moment_a_copy_is_whole_or_not_there(base: Checkout) -> None:
    before = contents(base.folder)
    code = (
        "import sys; from pathlib import Path; from patches import registry; "
        "from wrapper.checkouts import checkout, trees; "
        "found = [registry.find(name) for name in ('ema', 'adacoor', 'fast-lora')]; "
        "made = checkout.open_folder(Path(sys.argv[1])); print('ready', flush=True); "
        "trees.with_patches(made, found, on_step=print)"
    )
    whole, patches = 0, (EMA, ADACOOR, registry.find("fast-lora"))
    for moment in range(12):
        process = psutil.Popen([sys.executable, "-c", code, base.folder], stdout=PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(moment * 0.02)  # it takes 0.2 s
        process.kill()
        process.communicate()
        assert base.place
        for copy in trees.listing():
            assert copy.edits == ()
            assert {patchwork.status(copy.made, p).state for p in patches} == {"applied"}
            whole += 1
        list(trees.delete(trees.listing()))
        assert contents(base.folder) == before
    assert with_patches(base, *patches).is_copy
    assert len(names(base)) == 1
    assert whole < 12


def test_what_the_user_edited_in_the_checkout_is_in_the_copy(base: Checkout) -> None:
    first = with_patches(base, EMA)
    script = base.scripts / "sdxl_train.py"
    script.write_text(f"{script.read_text('utf-8')}# mine\n", "utf-8")
    made = with_patches(base, EMA)
    assert made.folder != first.folder
    assert (made.scripts / "sdxl_train.py").read_text("utf-8").endswith("# mine\n")
    assert patchwork.carried(made) == {"ema"}


def test_a_copy_that_was_edited_is_not_used(base: Checkout) -> None:
    made = with_patches(base, EMA)
    script = made.scripts / "sdxl_train.py"
    script.write_text(script.read_text("utf-8").replace("average.update()", "average.update(1)"))
    with pytest.raises(UserError, match=r"were edited: sdxl_train\.py") as caught:
        with_patches(base, EMA)
    assert "checkout clean --force" in (caught.value.hint or "")
    with pytest.raises(UserError, match="were edited"):
        checkout.remove(base.folder.parent.name)


def test_patches_of_an_earlier_version_are_removed_from_the_checkout(base: Checkout) -> None:
    before = contents(base.folder)
    patch_in_place(base, EMA, ADACOOR)
    said: list[str] = []
    assert trees.with_patches(base, [], on_step=said.append) == base
    assert contents(base.folder) == before
    assert "removed patches" in said[0]

    patch_in_place(base, EMA)
    made = with_patches(base, ADACOOR)
    assert contents(base.folder) == before
    assert patchwork.carried(made) == {"adacoor"}
    rewrite.carry_out(patchwork.reverting(made, ["adacoor"]))
    assert contents(made.folder) == before


def test_they_stay_under_a_trainer_and_others_get_copies(base: Checkout, start: Start) -> None:
    before = contents(base.folder)
    patch_in_place(base, EMA)
    patched = contents(base.folder)
    running = start("pass", base.scripts / "sdxl_train.py")
    made = with_patches(base)
    assert made.is_copy
    assert contents(made.folder) == before
    other = with_patches(base, ADACOOR)
    assert patchwork.carried(other) == {"adacoor"}
    assert contents(base.folder) == patched
    running.kill()
    running.wait()
    assert with_patches(base) == base
    assert contents(base.folder) == before


def test_patches_edited_by_hand_stay_where_they_are(base: Checkout) -> None:
    before = contents(base.folder)
    patch_in_place(base, EMA)
    script = base.scripts / "sdxl_train.py"
    script.write_text(script.read_text("utf-8").replace("average.update()", "average.update(1)"))
    edited = contents(base.folder)
    assert contents(with_patches(base).folder) == before
    assert contents(base.folder) == edited


def test_list_shows_copies_and_clean_deletes_them(base: Checkout) -> None:
    made, other = with_patches(base, EMA), with_patches(base, ADACOOR, EMA)
    lines = run("checkout", "list").stdout.splitlines()
    assert str(base.folder) in lines[0]
    rows = {line.strip().split("  ")[0]: line for line in lines[1:]}
    assert rows.keys() == {"ema", "adacoor, ema"}
    assert rows["ema"].endswith(f" MB  {made.folder}")

    would = run("checkout", "clean", "--dry-run")
    assert would.stdout == ""
    assert would.stderr.count("would delete") == 2
    assert names(base) == {made.folder.parent.name, other.folder.parent.name}
    done = run("checkout", "clean")
    assert {Path(line.removeprefix("deleted ")) for line in done.stdout.splitlines()} == {
        made.folder.parent,
        other.folder.parent,
    }
    assert names(base) == set()
    assert checkout.edits(base) == []
    assert "nothing to delete" in run("checkout", "clean").stderr


def test_clean_where_there_is_nothing_yet(home: Path) -> None:
    assert "nothing to delete" in run("checkout", "clean").stderr
    assert run("checkout", "list").stdout == ""
    assert not home.exists()


@posix
def test_what_cannot_be_deleted_is_an_error(
    base: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    made = with_patches(base, EMA)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UserError, match=r"cannot delete .* Permission denied"):
        run("checkout", "clean")
    assert checkout.edits(made) == []


def test_clean_keeps_what_a_trainer_uses(base: Checkout, start: Start) -> None:
    made, other = with_patches(base, EMA), with_patches(base, ADACOOR)
    running = start("pass", made.scripts / "sdxl_train.py")
    assert f"in use by process {running.pid}" in run("checkout", "list").stdout
    done = run("checkout", "clean", base.folder.parent.name)
    assert "keeping ema" in done.stderr
    assert f"in use by process {running.pid}" in done.stderr
    assert names(base) == {made.folder.parent.name}
    assert done.stdout.strip() == f"deleted {other.folder.parent}"
    with pytest.raises(UserError, match="is in use by the process"):
        checkout.remove(base.folder.parent.name)


@posix
def test_clean_keeps_what_a_run_is_being_prepared_with(base: Checkout, start: Start) -> None:
    """Creating an environment takes minutes: there is no trainer yet, and no record."""
    code = (
        "import sys; from wrapper.checkouts import checkout; from wrapper.planning import trainer; "
        "from wrapper.screen.talk import Talk; from pathlib import Path; "
        "trainer.with_patches(checkout.open_folder(Path(sys.argv[1])), ['ema'], Talk())"
    )
    start(code, base.folder, "kohya-presets")
    assert "keeping ema" in run("checkout", "clean").stderr
    assert len(names(base)) == 1


def test_list_names_the_run_that_uses_a_copy(
    base: Checkout, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = with_patches(base, EMA), tmp_path / "runs" / "korra"
    monkeypatch.setenv(RUN_MARK, str(folder))
    trainer_itself = start("pass", made.scripts / "sdxl_train.py")
    monkeypatch.delenv(RUN_MARK)
    said = run("checkout", "list").stdout
    assert f"{made.folder}  (in use by the run {folder} (process {trainer_itself.pid}))" in said

    trainer_itself.kill()
    trainer_itself.wait()
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text(f"[stage.extract]\ncwd = '{made.scripts}'\n", "utf-8")
    hold = "import sys, filelock; lock = filelock.FileLock(sys.argv[2]); lock.acquire()"
    start(hold, "kohya-presets", folder / ".lock")
    assert f"  (in use by the run {folder} (process" in run("checkout", "list").stdout
    assert "keeping ema" in run("checkout", "clean").stderr


def test_clean_keeps_what_was_edited_unless_told_not_to(base: Checkout) -> None:
    made = with_patches(base, EMA)
    (made.scripts / "library/mine.py").write_text("mine = 1\n", "utf-8")
    assert "edited: library/mine.py" in run("checkout", "clean").stderr
    assert made.folder.exists()
    run("checkout", "clean", "--force")
    assert not made.folder.exists()


def test_patch_commands_on_a_managed_checkout(base: Checkout) -> None:
    before = contents(base.folder)
    where = ("--checkout", base.folder)
    folder = Path(run("patch", "apply", "ema", *where).stdout.strip())
    assert patchwork.carried(checkout.open_folder(folder)) == {"ema"}
    assert run("patch", "apply", "ema", *where).stdout.strip() == str(folder)
    assert contents(base.folder) == before

    status = run("patch", "status", *where).stdout
    assert "ema        absent" in status
    assert f"a copy with ema: {folder}" in status
    assert "ema        applied" in run("patch", "status", "--checkout", folder).stdout
    assert "checkout list" in run("patch", "revert", *where).stderr
    refused = typed("patch", "revert", "--checkout", folder)
    assert (refused.returncode, "checkout clean" in refused.stderr) == (1, True)

    patch_in_place(base, ADACOOR)
    assert "changed  sdxl_train.py" in run("patch", "revert", *where).stdout
    assert contents(base.folder) == before


def test_a_folder_of_the_users_is_left_as_it_is(base: Checkout, tmp_path: Path) -> None:
    users = checkout.open_folder(shutil.copytree(base.folder, tmp_path / "mine"))
    before = contents(users.folder)
    assert trainer.with_patches(users, ["ema"], Talk()) == users
    assert contents(users.folder) == before
    assert not replace(users).is_ours


def test_a_read_only_file_of_the_checkout_is_an_error_that_names_it(base: Checkout) -> None:
    (base.scripts / "sdxl_train.py").chmod(0o444)
    with pytest.raises(PatchError, match="read-only"):
        with_patches(base, EMA)
    assert names(base) == set()
