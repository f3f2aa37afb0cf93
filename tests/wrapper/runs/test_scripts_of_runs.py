"""The scripts that a run starts: with its own patches, as its record says, and never others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.presets.catalogue import Catalogue
from patches import registry
from tests import tensors
from tests.wrapper.checkouts.test_patchwork import contents, tree
from tests.wrapper.cli.test_cli import run as typed
from tests.wrapper.planning.tiny import PRESET
from tests.wrapper.runs import faked
from wrapper.checkouts import checkout, patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.environments import environment
from wrapper.environments.environment import Probe
from wrapper.planning import prepare_training
from wrapper.planning.request import Request
from wrapper.rehearsal import pictures
from wrapper.rehearsal.adapt import STANDIN
from wrapper.runs import manifest, runner, sources
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.system import rewrite

EMA = registry.find("ema")

Ready = Callable[..., Run]


@pytest.fixture
def base(tmp_path: Path) -> Checkout:
    """Return a checkout of ours, of the stand-in's scripts."""
    return checkout.add(None, source=str(STANDIN), on_step=print)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Request]:
    """Return a function that requests a run with patches; nothing of it needs torch."""
    monkeypatch.setattr(environment, "probe", lambda _: Probe("3.11", {"torch": "2"}, {}, None))
    file = tmp_path / "tiny.toml"
    file.write_text(PRESET, "utf-8")

    def ask(folder: Path, *patches: str) -> Request:
        preset = replace(Catalogue(()).load(str(file)), patches=patches)
        name = "-".join(("korra", *patches))
        return Request(preset, name, tmp_path / "runs", "v0.10.1", folder, sys.executable)

    return ask


@pytest.fixture
def ready(asked: Callable[..., Request], tmp_path: Path) -> Ready:
    """Return a function that prepares a run with patches."""
    data = tmp_path / "my pictures ü"
    pictures.draw(data, count=2)
    model = str(tensors.write(tmp_path / "base.safetensors", tensors.SDXL))
    return lambda folder, *patches: prepare_training.ready(
        asked(folder, *patches), data, model, Talk()
    )


def planned_in(run: Run) -> set[Path]:
    return {stage.launch.cwd for stage in run.stages}


def as_an_earlier_version_planned(run: Run, base: Checkout) -> Run:
    """Return a run as it was planned when patches went into the checkout itself."""
    facts = {**run.facts["sd-scripts"], "folder": str(base.scripts)}
    old = Path(str(run.facts["sd-scripts"]["folder"]))
    del facts["tree"]
    for stage in run.stages:
        launch = sources.moved(stage.launch, old, base.scripts)
        run = run.with_stage(replace(stage, launch=launch))
    run = replace(run, facts={**run.facts, "sd-scripts": facts})
    manifest.write(run)
    return run


def test_a_run_is_planned_in_its_own_copy_and_records_it(base: Checkout, ready: Ready) -> None:
    before = contents(base.folder)
    plain, patched = ready(base.folder), ready(base.folder, "ema")
    assert contents(base.folder) == before
    assert planned_in(plain) == {base.scripts}
    facts = manifest.read(plain.folder).facts
    assert (facts["sd-scripts"]["tree"], facts["sd-scripts"]["patches"]) == ("", [])
    assert facts.get("patches", {}) == {}

    (scripts,) = planned_in(patched)
    assert scripts != base.scripts
    facts = manifest.read(patched.folder).facts
    assert facts["sd-scripts"]["folder"] == str(scripts)
    assert facts["sd-scripts"]["tree"] == scripts.parent.name
    assert facts["sd-scripts"]["patches"] == ["ema"]
    assert facts["patches"] == {"ema": EMA.sha256()}
    for stage in patched.stages:
        assert str(scripts) in " ".join(stage.launch.argv)
        assert stage.launch.env["PYTHONPATH"] == str(scripts)
        assert str(base.scripts) not in " ".join(stage.launch.argv)


def test_a_dry_run_names_the_same_folder(
    base: Checkout, ready: Ready, asked: Callable[..., Request], tmp_path: Path
) -> None:
    request = asked(base.folder, "ema")
    plan = prepare_training.dry(request, tmp_path, "owner/repo", Talk())
    scripts = plan.stages[0].launch.cwd
    assert not scripts.exists()
    assert planned_in(ready(base.folder, "ema")) == {scripts}

    elsewhere = replace(request, checkout=None, release="v0.9.1")
    plan = prepare_training.dry(elsewhere, tmp_path, "owner/repo", Talk())
    assert "checkouts/v0.9.1/patched/" in plan.stages[0].launch.cwd.as_posix()


def test_your_own_folder_is_not_changed_and_the_command_is_said(
    ready: Ready, tmp_path: Path
) -> None:
    folder = tree(tmp_path / "my scripts", "plain")
    before = contents(folder)
    with pytest.raises(ProblemsError) as caught:
        ready(folder, "adacoor", "ema")
    assert contents(folder) == before
    (problem,) = caught.value.problems
    assert problem.message.endswith(
        f"needs the patches adacoor and ema, which are not applied in {folder}"
    )
    command = f'kohya-presets patch apply adacoor ema --checkout "{folder}"'
    assert problem.hint == f"Run `{command}`. A run never changes your own folder."
    typed("patch", "apply", "adacoor", "ema", "--checkout", folder)
    facts = ready(folder, "adacoor", "ema").facts
    assert facts["sd-scripts"]["patches"] == ["adacoor", "ema"]
    assert facts["patches"]["ema"] == EMA.sha256()


def test_a_copy_that_was_deleted_is_created_again(base: Checkout, ready: Ready) -> None:
    run = ready(base.folder, "ema")
    (scripts,) = planned_in(run)
    before = contents(scripts)
    assert "deleted" in typed("checkout", "clean").stdout
    assert sources.standing(run, print) == run
    assert contents(scripts) == before


def test_with_another_version_of_a_patch_a_run_does_not_go_on(
    base: Checkout, ready: Ready, home: Path
) -> None:
    run = ready(base.folder, "ema")
    typed("checkout", "clean")
    mine = home / "patches" / "ema"
    mine.mkdir(parents=True)
    for file in EMA.files:
        (mine / file.name).write_bytes(file.read_bytes() + b"# mine\n")
    with pytest.raises(UserError, match=r"patches have changed .* started: ema"):
        sources.standing(run, print)


def test_with_other_scripts_a_run_does_not_go_on(base: Checkout, ready: Ready) -> None:
    run = ready(base.folder, "ema")
    typed("checkout", "clean")
    with (base.scripts / "sdxl_train.py").open("a", encoding="utf-8") as script:
        script.write("# mine\n")
    with pytest.raises(UserError, match="sd-scripts has changed since the run"):
        sources.standing(run, print)


def test_with_a_copy_that_was_edited_a_run_does_not_go_on(base: Checkout, ready: Ready) -> None:
    run = ready(base.folder, "ema")
    (scripts,) = planned_in(run)
    with (scripts / "library/kp_ema.py").open("a", encoding="utf-8") as file:
        file.write("# mine\n")
    with pytest.raises(UserError, match=r"were edited: library/kp_ema\.py"):
        sources.standing(run, print)
    with pytest.raises(UserError, match=r"have changed .* library/kp_ema\.py"):
        sources.require_same_patches(run)


def test_a_run_of_an_earlier_version_moves_to_a_copy(base: Checkout, ready: Ready) -> None:
    run = ready(base.folder, "ema")
    (scripts,) = planned_in(run)
    run = as_an_earlier_version_planned(run, base)
    rewrite.carry_out(patchwork.applying(base, [EMA]))
    assert sources.standing(run, print) == run  # what it was planned with is still there

    ready(base.folder)  # a run without patches removes them
    said: list[str] = []
    moved = sources.standing(run, said.append)
    assert planned_in(moved) == {scripts}
    assert moved.facts["sd-scripts"]["folder"] == str(scripts)
    assert said[-1] == f"the run now uses {scripts}"
    assert manifest.read(run.folder) == moved


def test_one_without_patches_does_not_meet_those_of_another(base: Checkout, ready: Ready) -> None:
    before = contents(base.folder)
    run = as_an_earlier_version_planned(ready(base.folder), base)
    rewrite.carry_out(patchwork.applying(base, [EMA]))
    assert sources.standing(run, print) == run
    assert contents(base.folder) == before


@pytest.mark.parametrize("then", [(), ("ema",)])
def test_a_stage_does_not_start_with_other_patches_than_recorded(
    then: tuple[str, ...], tmp_path: Path
) -> None:
    found = checkout.open_folder(tree(tmp_path / "mine", "gui-v23"))
    run = faked.new(tmp_path / "run")
    facts = {"folder": str(found.scripts), "layout": found.layout, "patches": list(then)}
    run = replace(run, facts={"sd-scripts": facts})
    if not then:
        rewrite.carry_out(patchwork.applying(found, [EMA]))
    with pytest.raises(UserError, match=f"ema is {'missing' if then else 'new'}") as caught:
        runner.carry_out(run, faked.Heard(run.folder))
    command = "apply" if then else "revert"
    where = f'--checkout "{found.folder}"'
    assert caught.value.hint == f"Run `kohya-presets patch {command} ema {where}`, then resume."
    assert not faked.starts(run.folder)
