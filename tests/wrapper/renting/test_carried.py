"""Metadata files, masks, own patches and states: packed, there again, and refused where unsound."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.dataset.subsets import Subset
from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from patches import registry
from tests.wrapper.data import odd_pictures
from tests.wrapper.renting import packs, pictures
from wrapper.data import sources
from wrapper.planning import prepare_training, subjects
from wrapper.planning.request import Request
from wrapper.rehearsal import adapt
from wrapper.renting import contents, pack, unpack
from wrapper.renting.contents import Contents
from wrapper.runs import attempt, runner
from wrapper.runs.kept import states
from wrapper.runs.manifest import Run, Stage
from wrapper.screen.talk import Talk
from wrapper.system import paths
from wrapper.system.launch import Launch

TOKEN = "hf_" + "a" * 34
RELEASES = ("v0.9.1", "v0.10.1", "v0.11.1")
HEAD = "[[datasets]]\nresolution = 512\n[[datasets.subsets]]\n"
PATCH = '''format = 1
[patch]
name = "gentle"
summary = "A patch of somebody's own"
runtime = ["kp_gentle.py"]
[[edit]]
file = "sdxl_train.py"
function = "train"
anchor = "global_step += 1"
where = "before"
lines = """pass"""
'''
Write = Callable[..., Path]


def there(found: Contents, around: Path) -> Path:
    """Return the folder of a pack that was written and unpacked, without its program."""
    files = {path: data for path, data in found.files.items() if not path.startswith("tool/")}
    small = Contents(
        *(found.name, found.preset, found.release, found.base, found.data), files, found.needs
    )
    pack.write(small, around / "korra é.zip")
    into = around / "there ü"
    unpack.unpack(around / "korra é.zip", into)
    return into


@pytest.fixture
def cached(shipped: Catalogue) -> Preset:
    """Return a preset that newer releases can train on a metadata file."""
    words = ["train.cache_latents=true", "dataset.random_crop=false"]
    return shipped.load("lion", overrides=words)


def refused(preset: Preset, data: Path, release: str = "v0.10.1") -> str:
    """Return why it is not packed."""
    with pytest.raises(ProblemsError) as caught:
        of(preset, data, release)
    return "\n".join(map(str, caught.value.problems))


def subsets(preset: Preset, config: Path, release: str) -> tuple[Subset, ...]:
    return sources.of_data(preset, config, subjects.against(release))


def of(preset: Preset, data: Path, release: str = "v0.10.1", **more: object) -> Contents:
    asked = contents.Asked(Request(preset, "korra", Path("runs"), release), data, packs.HUB)
    return contents.of(asked, Talk())


@pytest.fixture
def listed(tmp_path: Path) -> Write:
    """Return a function that writes a dataset config with a metadata file; all with odd names."""

    def write(keys: Mapping[str, str], name: str = "meta é.json", folder: bool = True) -> Path:
        if not (tmp_path / "my pictures ü").exists():
            pictures.folder(tmp_path, side=256)
            (tmp_path / "else where").mkdir()
            odd_pictures.drawn(9, (256, 256)).save(tmp_path / "else where" / "korra 0 é.png")
        at = {"HERE": str(tmp_path / "my pictures ü"), "ELSE": str(tmp_path / "else where")}
        entries = {key.format(**at): {"caption": text, "n": 1} for key, text in keys.items()}
        if name.endswith("jsonl"):
            lines = [{"image_path": key, **values} for key, values in entries.items()]
            text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        else:
            text = json.dumps(entries, ensure_ascii=False)
        (tmp_path / name).write_text(text, "utf-8")
        image_dir = "image_dir = 'my pictures ü'\n" if folder else ""
        config = tmp_path / "dataset.toml"
        config.write_text(f"{HEAD}{image_dir}metadata_file = '{name}'\nnum_repeats = 3\n", "utf-8")
        return config

    return write


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("folder", [True, False])
def test_a_metadata_file_is_the_same_training_there(
    release: str, folder: bool, cached: Preset, tmp_path: Path, listed: Write
) -> None:
    keys = {"{HERE}/korra 0 é.png": "korra", "{HERE}/korra 2 é.png": "naga"}
    config = listed({**keys, "{ELSE}/korra 0 é.png": "another, of that name"}, folder=folder)
    into = there(of(cached, config, release), tmp_path)
    (here,) = subsets(cached, config, release)
    for hidden in ("my pictures ü", "else where"):  # nothing of this machine is needed
        here.entries  # noqa: B018
        shutil.rmtree(tmp_path / hidden)
    (then,) = subsets(cached, into / "dataset.toml", release)
    assert (then.kind, then.repeats) == ("metadata", 3)
    assert [entry.caption for entry in then.entries] == [entry.caption for entry in here.entries]
    assert all(entry.image and entry.image.is_relative_to(into) for entry in then.entries)
    names = [[entry.image and entry.image.name for entry in s.entries] for s in (then, here)]
    assert names[0] == names[1]
    sizes = {entry.image.read_bytes() for entry in then.entries if entry.image}
    assert len(sizes) == 3  # the two of one name are two still
    text = next(into.glob("data/*.json")).read_text("utf-8")
    assert str(tmp_path) not in text + (into / "dataset.toml").read_text("utf-8")
    assert [values["n"] for values in json.loads(text).values()] == [1, 1, 1]


def test_a_metadata_file_of_lines_stays_one(cached: Preset, tmp_path: Path, listed: Write) -> None:
    config = listed({"korra 0 é.png": "a", "korra 1 é.png": "b"}, name="meta.jsonl")
    into = there(of(cached, config), tmp_path)
    (then,) = subsets(cached, into / "dataset.toml", "v0.10.1")
    assert [(entry.key, entry.caption) for entry in then.entries] == [
        ("korra 0 é.png", "a"),
        ("korra 1 é.png", "b"),
    ]


def test_a_metadata_file_that_cannot_be_the_same_there_is_refused(
    cached: Preset, tmp_path: Path, listed: Write
) -> None:
    twice = listed({"korra 0 é.png": "a", "{HERE}/korra 0 é.png": "b"})
    assert "names an image twice" in refused(cached, twice)
    odd_pictures.drawn(1, (256, 256)).save(tmp_path / "my pictures ü" / "korra 1 é.jpg")
    endings = listed({"{HERE}/korra 1 é.png": "a", "{HERE}/korra 1 é.jpg": "b"})
    of(cached, endings)
    said = refused(cached, endings, "v0.9.1")  # which has no endings in a metadata file
    assert "differ only by their ending" in said
    said = refused(cached, listed({"korra 0 é.png": f"korra {TOKEN}"}))
    assert "[pack-secret]" in said
    assert TOKEN not in said
    with pytest.raises(UserError, match="home folder"):
        of(cached, listed({"korra 0 é.png": f"in {Path.home()}/x"}))


def test_masks_come_along(shipped: Catalogue, tmp_path: Path) -> None:
    pictures.folder(tmp_path, side=256)
    (tmp_path / "masks é").mkdir()
    for n in range(3):
        odd_pictures.drawn(5, (256, 256)).save(tmp_path / "masks é" / f"korra {n} é.png")
    config = tmp_path / "dataset.toml"
    masks = "image_dir = 'my pictures ü'\nconditioning_data_dir = 'masks é'\n"
    config.write_text(HEAD + masks, "utf-8")
    words = ["train.masked_loss=true", "dataset.random_crop=false"]
    preset = shipped.load("lion", overrides=words)
    into = there(of(preset, config), tmp_path)
    (then,) = subsets(preset, into / "dataset.toml", "v0.10.1")
    assert then.kind == "masks"
    assert then.masks is not None
    assert {file.name for file in then.masks.iterdir()} == {f"korra {n} é.png" for n in range(3)}
    assert [image.name for image in then.images] == [f"korra {n} é.png" for n in range(3)]
    assert str(tmp_path) not in (into / "dataset.toml").read_text("utf-8")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a patch of the user's own."""
    monkeypatch.setenv("KOHYA_PRESETS_HOME", str(tmp_path / "home é"))
    folder = paths.user_patches() / "gentle"
    folder.mkdir(parents=True)
    (folder / "patch.toml").write_text(PATCH, "utf-8")
    (folder / "kp_gentle.py").write_text('"""Gentle."""\n', "utf-8")
    (folder / "notes.txt").write_text(f"my token is {TOKEN}", "utf-8")  # which is no part of it
    return folder


@pytest.fixture
def gentle(shipped: Catalogue, tmp_path: Path) -> Preset:
    file = tmp_path / "gentle.toml"
    head = 'schema = 1\n[preset]\nextends = "lion"\nname = "gentle"\n'
    text = head + 'title = "x"\nsummary = "x"\npatches = ["gentle"]\n'
    file.write_text(text, "utf-8")
    return Catalogue(shipped.folders).load(str(file))


def test_a_patch_of_ones_own_comes_along_and_is_installed_only_if_asked(
    own: Path, gentle: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures.folder(tmp_path, side=256)
    found = of(gentle, data)
    assert {path for path in found.files if path.startswith("patches/")} == {
        "patches/gentle/patch.toml",
        "patches/gentle/kp_gentle.py",
    }
    here = registry.find("gentle", paths.user_patches()).sha256()
    into = there(found, tmp_path)
    assert unpack.own_patches(unpack.unpack(tmp_path / "korra é.zip", tmp_path / "again"))
    monkeypatch.setenv("KOHYA_PRESETS_HOME", str(tmp_path / "another home"))
    assert not paths.user_patches().exists()
    assert registry.load(into / "patches" / "gentle").sha256() == here
    for name in ("a", "b"):  # the second time it is there already
        unpack.unpack(tmp_path / "korra é.zip", tmp_path / name, patches=paths.user_patches())
        assert registry.find("gentle", paths.user_patches()).sha256() == here
    (paths.user_patches() / "gentle" / "kp_gentle.py").write_text("# mine\n", "utf-8")
    with pytest.raises(UserError, match="another patch of that name"):
        unpack.unpack(tmp_path / "korra é.zip", tmp_path / "c", patches=paths.user_patches())
    assert not (tmp_path / "c").exists()
    text = (paths.user_patches() / "gentle" / "kp_gentle.py").read_text("utf-8")
    assert text == "# mine\n"


def test_a_patch_with_a_token_or_a_path_of_home_is_refused(
    own: Path, gentle: Preset, tmp_path: Path
) -> None:
    data = pictures.folder(tmp_path, side=256)
    (own / "kp_gentle.py").write_text(f"TOKEN = {TOKEN!r}\n", "utf-8")
    said = refused(gentle, data)
    assert "[pack-secret]" in said
    assert TOKEN not in said
    (own / "kp_gentle.py").write_text(f"WHERE = {str(Path.home() / 'x')!r}\n", "utf-8")
    with pytest.raises(UserError, match=r"patches/gentle/kp_gentle\.py would name your home"):
        of(gentle, data)


def saved(run: Path, step: int) -> Path:
    """Return a state in a run's folder that looks whole."""
    state = run / "states" / f"step{step:08d}"
    (state / "deeper").mkdir(parents=True)
    told = {"format": 1, "step": step, "epoch": 2, "bytes": 9, "seconds": 1, "saved": step}
    (state / "kp_resume.json").write_text(json.dumps(told), "utf-8")
    (state / "model.safetensors").write_bytes(bytes([step]) * 1000)
    (state / "deeper" / "optimizer.bin").write_bytes(b"x" * 100)
    return state


def test_a_run_goes_on_elsewhere_from_its_newest_state(run: Run, tmp_path: Path) -> None:
    saved(run.folder, 3)
    newest = saved(run.folder, 7)
    asked = contents.of_run(run.folder, base="owner/repo", with_base=False, with_state=True)
    found = contents.of(asked, Talk())
    assert {path for path in found.files if path.startswith("states/")} == {
        f"states/step00000007/{name}"
        for name in ("kp_resume.json", "model.safetensors", "deeper/optimizer.bin")
    }
    into = there(found, tmp_path)
    request = Request(
        Catalogue(()).load(str(into / "preset.toml")),
        *("elsewhere", tmp_path / "other runs", "v0.10.1", adapt.STANDIN, sys.executable),
        states=into / "states",
    )
    with pytest.raises(UserError, match="cannot go on from a state"):  # it lacks the patch
        prepare_training.ready(request, into / "data", str(run.facts["base"]["file"]), Talk())
    folder = tmp_path / "other runs" / "korra"
    patched = {**run.facts["sd-scripts"], "patches": [states.PATCH]}
    stages = tuple(
        replace(s, makes=folder / s.makes.name, output=folder / s.makes.name) for s in run.stages
    )
    facts = {**run.facts, "sd-scripts": patched}
    made = replace(run, folder=folder, facts=facts, stages=stages)
    made = replace(made, stages=tuple(replace(s, launch=moved(s, folder)) for s in stages))
    runner.start(made, {}, states=into / "states")
    (state,) = states.whole(made.folder)
    assert state.step == 7
    assert (state.folder / "model.safetensors").read_bytes() == bytes([7]) * 1000
    assert (state.folder / "deeper" / "optimizer.bin").is_file()
    train = made.stage("train")
    assert attempt._prepared(made, train, Silent()).argv[-1] == f"--resume={state.folder}"  # type: ignore[arg-type]
    shutil.rmtree(state.folder)  # as the patch deletes old ones
    assert (into / "states" / newest.name / "model.safetensors").is_file()


def moved(stage: Stage, folder: Path) -> Launch:
    return replace(stage.launch, log=folder / "logs" / f"{stage.name}.log")


class Silent:
    """A watcher that says nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""


def test_without_a_state_it_says_so(run: Run, tmp_path: Path) -> None:
    asked = contents.of_run(run.folder, base="owner/repo", with_base=False, with_state=True)
    with pytest.raises(UserError, match="has no whole state") as caught:
        contents.of(asked, Talk())
    assert "--with-state" in str(caught.value.hint)
    half = saved(run.folder, 5)
    (half / "kp_resume.json").unlink()
    with pytest.raises(UserError, match="has no whole state"):
        contents.of(asked, Talk())
    request = Request(asked.request.preset, "x", tmp_path, "v0.10.1", states=tmp_path / "nothing")
    with pytest.raises(UserError, match="nothing has no whole state"):
        prepare_training.ready(request, asked.data, str(run.facts["base"]["file"]), Talk())
    assert not request.folder.exists()


@pytest.mark.parametrize(
    "path", ["states/step00000007/deeper/optimizer.bin", "data/masks/a.png", "patches/p/patch.toml"]
)
def test_what_is_damaged_on_the_way_is_found_before_anything_is_written(
    path: str, own: Path, shipped: Catalogue, tmp_path: Path
) -> None:
    found = packs.of(shipped.load("lion"), pictures.folder(tmp_path, side=256))
    files = {k: v for k, v in found.files.items() if not k.startswith("tool/")}
    more = {**files, path: b"as it was", "patches/p/kp_p.py": b""}
    whole = Contents(
        *(found.name, found.preset, found.release, found.base, found.data), more, found.needs
    )
    file, into, home = tmp_path / "p.zip", tmp_path / "into", tmp_path / "new home"
    pack.write(whole, file)
    data = file.read_bytes()
    at = data.index(b"as it was")
    file.write_bytes(data[:at] + b"A" + data[at + 1 :])
    with pytest.raises(UserError, match="damaged"):
        unpack.unpack(file, into, patches=home)
    with zipfile.ZipFile(tmp_path / "q.zip", "w") as less, zipfile.ZipFile(file) as before:
        for name in before.namelist():
            if name != path:
                less.writestr(name, before.read(name))
    with pytest.raises(UserError, match=f"lacks {path}"):
        unpack.unpack(tmp_path / "q.zip", into, patches=home)
    assert not into.exists()
    assert not home.exists()
