"""A pack has all that another machine needs, and nothing of this one."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.dataset import rendered
from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.toml import source as toml_source
from tests import tensors
from tests.wrapper.renting import packs, pictures
from wrapper.data import sources
from wrapper.planning import subjects
from wrapper.renting import contents, own_wheel, pack
from wrapper.renting.contents import Asked
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.system import proc

TOKEN = "hf_" + "a" * 34


def test_a_pack_has_images_captions_settings_and_the_program(
    shipped: Catalogue, tmp_path: Path
) -> None:
    data = pictures.folder(tmp_path, side=256)
    (data / "notes.md").write_text(f"my token is {TOKEN}", "utf-8")
    found = packs.of(shipped.load("lion"), data, samples="auto")
    assert {path for path in found.files if path.startswith("data/")} == {
        f"data/korra {n} é.{kind}" for n in range(3) for kind in ("png", "txt")
    }
    rest = {path for path in found.files if not path.startswith("data/")}
    tool = f"tool/{own_wheel.file_name()}"
    assert rest == {"preset.toml", "config.toml", "dataset.toml", "prompts.txt", tool}
    assert (found.base, found.data, found.name) == (packs.HUB, "data", "korra é")


def test_the_same_input_is_the_same_bytes(shipped: Catalogue, tmp_path: Path) -> None:
    data = pictures.folder(tmp_path, side=256)
    for name in ("a.zip", "b.zip"):
        for file in data.iterdir():
            os.utime(file, (1, len(name)))
        pack.write(packs.of(shipped.load("lion"), data), tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with pytest.raises(UserError, match="already exists"):
        pack.write(packs.of(shipped.load("lion"), data), tmp_path / "a.zip")


def test_nothing_in_it_names_this_machine(shipped: Catalogue, tmp_path: Path) -> None:
    data = pictures.folder(tmp_path, side=256)
    found = packs.of(shipped.load("skynet"), data)
    for path, content in found.files.items():
        text = content if isinstance(content, bytes) else content.read_bytes()
        for planted in (str(tmp_path), str(Path.home()) + "/", str(own_wheel.__file__)):
            assert planted.encode() not in text, path


def test_a_setting_of_this_machine_is_refused(shipped: Catalogue, tmp_path: Path) -> None:
    data = pictures.folder(tmp_path, side=256)
    for named in ("/home/anna/vae.safetensors", "~/vae.safetensors"):
        preset = shipped.load("lion", overrides=[f"train.vae='{named}'"])
        with pytest.raises(ProblemsError) as caught:
            packs.of(preset, data)
        (problem,) = caught.value.problems
        assert problem.code == "pack-path"
        assert "--set train.vae=unset" in str(problem.hint)


def test_a_caption_with_a_token_is_refused_and_the_token_not_said(
    shipped: Catalogue, tmp_path: Path
) -> None:
    data = pictures.folder(tmp_path, side=256)
    (data / "korra 1 é.txt").write_text(f"korra {TOKEN}", "utf-8")
    with pytest.raises(ProblemsError) as caught:
        packs.of(shipped.load("lion"), data)
    assert [problem.code for problem in caught.value.problems] == ["pack-secret"]
    assert TOKEN not in str(caught.value.problems)


def test_a_home_in_the_summary_is_refused(shipped: Catalogue, tmp_path: Path) -> None:
    preset = shipped.load("lion")
    preset = replace(preset, summary=f"in {Path.home()}/x")
    with pytest.raises(UserError, match="home folder"):
        packs.of(preset, pictures.folder(tmp_path, side=256))


def test_a_local_base_model_is_carried_only_if_that_is_said(
    shipped: Catalogue, tmp_path: Path
) -> None:
    data = pictures.folder(tmp_path, side=256)
    base = tensors.write(tmp_path / "my base.safetensors", tensors.SDXL)
    asked = packs.asked(shipped.load("lion"), data, base=str(base))
    with pytest.raises(UserError, match="a file on this computer") as caught:
        contents.of(asked, Talk())
    assert "--with-base" in str(caught.value.hint)
    found = contents.of(replace(asked, with_base=True), Talk())
    assert found.base == "base/my base.safetensors"
    assert found.files[found.base] == base
    with pytest.raises(UserError, match="does not exist"):
        contents.of(replace(asked, base=str(tmp_path / "gone.safetensors")), Talk())


def test_folders_with_repeats_keep_their_names(shipped: Catalogue, tmp_path: Path) -> None:
    one = pictures.folder(tmp_path, side=256)
    for name in ("10_korra", "3_asami"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for file in one.iterdir():
            (tmp_path / "set" / name / file.name).write_bytes(file.read_bytes())
    found = packs.of(shipped.load("lion"), tmp_path / "set")
    assert "data/10_korra/korra 0 é.png" in found.files
    assert "data/3_asami/korra 2 é.txt" in found.files
    dataset = bytes(found.files["dataset.toml"]).decode()  # type: ignore[arg-type]
    assert 'image_dir = "data/10_korra"' in dataset


def test_a_dataset_config_is_the_same_training_there(shipped: Catalogue, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pictures.folder(tmp_path / name, side=256)
    config = tmp_path / "dataset.toml"
    config.write_text(
        "[[datasets]]\nresolution = 512\n"
        "[[datasets.subsets]]\nimage_dir = 'a/my pictures ü'\nnum_repeats = 4\n"
        "[[datasets.subsets]]\nimage_dir = 'b/my pictures ü'\nclass_tokens = 'korra'\n",
        "utf-8",
    )
    preset = shipped.load("lion")
    found = packs.of(preset, config)
    assert found.data == "dataset.toml"
    there = tmp_path / "there"
    for path, content in found.files.items():
        (there / path).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.read_bytes()
        (there / path).write_bytes(data)
    against = subjects.against("v0.10.1")
    here, then = (
        sources.of_data(preset, file, against) for file in (config, there / "dataset.toml")
    )
    assert [s.repeats for s in then] == [s.repeats for s in here] == [4, 1]
    assert [len(s.images) for s in then] == [3, 3]
    assert [s.folder and s.folder.parent for s in then] == [there / "data"] * 2
    assert rendered.read(there / "dataset.toml").problems == ()
    assert str(tmp_path) not in bytes(found.files["dataset.toml"]).decode()  # type: ignore[arg-type]


def test_a_run_is_packed_with_its_seed_and_without_what_train_adds(run: Run) -> None:
    asked = contents.of_run(run.folder, base="owner/repo", with_base=False)
    assert isinstance(asked, Asked)
    assert asked.request.name == "korra"
    assert isinstance(asked.request.preset.train["seed"], int)
    assert asked.request.preset.patches == ()
    assert asked.data.name == "pictures ü"
    assert "state_every_minutes" not in asked.request.preset.train
    found = contents.of(asked, Talk())
    config = toml_source.parse(bytes(found.files["config.toml"]).decode()).values  # type: ignore[arg-type]
    there = toml_source.read(run.folder / "config.toml").values
    assert config["seed"] == there["seed"]
    assert config["pretrained_model_name_or_path"] == "owner/repo"


def test_a_file_that_changes_meanwhile_stops_it(
    shipped: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures.folder(tmp_path, side=256)
    found = packs.of(shipped.load("lion"), data)

    image = data / "korra 1 é.png"
    listing = pack._manifest(found)
    image.write_bytes(image.read_bytes() + b"x")
    monkeypatch.setattr(pack, "_manifest", lambda _: listing)
    with pytest.raises(UserError, match="changed while it was packed"):
        pack.write(found, tmp_path / "out.zip")
    assert [file.name for file in tmp_path.iterdir() if "zip" in file.name] == []


def test_the_wheel_is_one_that_pip_takes(tmp_path: Path) -> None:
    content = own_wheel.content()
    assert content == own_wheel.content()
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        names = wheel.namelist()
        assert "kohya_presets/_installed/wrapper/cli/__init__.py" in names
        assert "kohya_presets/_installed/patches/ema/patch.toml" in names
        assert not [name for name in names if "__pycache__" in name]
        assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    file = tmp_path / own_wheel.file_name()
    file.write_bytes(content)
    into = tmp_path / "into"
    words = ("install", "--quiet", "--no-deps", "--no-index", "--target", into)
    proc.run([sys.executable, "-m", "pip", *words, file])
    code = "import sys; sys.argv=['k', 'list']; from kohya_presets.__main__ import main; main()"
    alone = {"PYTHONPATH": str(into)}
    done = proc.run([sys.executable, "-c", code], env=alone, cwd=tmp_path)
    assert "skynet" in done.stdout
    code = "import kohya_presets as k; print(k.__file__)"
    assert str(into) in proc.run([sys.executable, "-c", code], env=alone, cwd=tmp_path).stdout
