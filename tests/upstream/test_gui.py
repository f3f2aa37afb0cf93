"""Our exports through the Kohya GUI's own functions, and its own presets through our import."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.gui import export, notes, read
from kohya_presets.gui.versions import fields
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset, to_toml
from kohya_presets.sdscripts import options, releases
from tests.kohya_presets.gui.test_gui_export import LORA
from tests.sheets import ADDITIONS, SHIPPED_NAMES
from tests.upstream import gui_sources
from tests.upstream.same_training import assert_same
from tests.usually import usually
from tools.gui import make, read_gui
from wrapper.export import gui_files
from wrapper.system import whole

TAGS = ("v22.3.0", "v24.1.7", "v25.2.1", "v26.0.0")
NEWEST = fields.tags()[-1]
# The newest commit, a day and 28 commits after the newest tag: it still calls itself by that tag.
HEAD = "45088f04af78e11cec5407ff4652ea3ed2c14422"
SAVES_MORE = {"finetune": set(), "lora": {"model_type"}}  # flux or chroma
VERSIONS = (*TAGS, HEAD)
pytestmark = [pytest.mark.upstream]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gui")


def sent(
    preset: Preset, version: str, sources: Path, work: Path, *, data: bool = True
) -> dict[str, Any]:
    """Return what the GUI's own functions make of our export, and of a folder of 20 images."""
    gui = gui_sources.get(version, sources)
    tag = gui_files.installed(gui).tag
    images = work / "images"
    (images / "1_x").mkdir(parents=True)
    for number in range(20):
        (images / f"{number}.png").touch()
        (images / "1_x" / f"{number}.png").touch()
    (work / "base.safetensors").touch()
    made = gui_files.made(preset, tag, work / "p.json", ADDITIONS, data=images if data else None)
    whole.write(made.files)
    folder = "train_data_dir" if made.exported.tab.name == "lora" else "image_folder"
    return gui_sources.replay(
        gui,
        made.exported.tab,
        work / "p.json",
        work,
        pretrained_model_name_or_path=str(work / "base.safetensors"),
        output_dir=str(work),
        output_name="product",
        train_dir=str(work / "meta"),
        logging_dir="",
        **{folder: str(images)},
    )


def places(work: Path) -> dict[str, str]:
    """Return where things lie, as our own config says it."""
    return {
        "pretrained_model_name_or_path": str(work / "base.safetensors"),
        "output_dir": str(work),
        "output_name": "product",
        "dataset_config": str(work / "p.dataset.toml"),
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_the_gui_starts_the_training_of_our_config(
    name: str, version: str, shipped: Catalogue, sources: Path, tmp_path: Path
) -> None:
    preset = shipped.load(name)
    assert_same(sent(preset, version, sources, tmp_path), preset, places(tmp_path))


def shipped_with_the_gui(sources: Path) -> list[Path]:
    presets = gui_sources.get(NEWEST, sources) / "presets"
    return sorted([*presets.glob("finetune/*.json"), *presets.glob("lora/*.json")])


def script(file: Path) -> str:
    """Return the script that a preset of the GUI is for, by its name: SD 1.5's before SDXL came."""
    says_so = '"sdxl' in file.read_text("utf-8")
    if file.parent.name == "finetune":
        return "sdxl_train.py" if says_so else "fine_tune.py"
    models = {"sd15": "train_network.py", "flux": "flux_train_network.py"}
    usual = "sdxl_train_network.py" if says_so else "train_network.py"
    return next((s for m, s in models.items() if m in file.stem), usual)


def tags(preset: Preset) -> tuple[str, ...]:
    """Return the versions that know the preset's model."""
    return TAGS[2:] if preset.script.startswith("flux") else TAGS


def test_every_preset_of_the_gui_imports_and_stays_what_it_is(
    sources: Path, tmp_path: Path
) -> None:
    files = shipped_with_the_gui(sources)
    assert len(files) >= 35
    for file in files:
        first = read.json_file(file.read_bytes(), file.stem, ADDITIONS).preset
        assert first.script == script(file)
        if first.script == "fine_tune.py":
            continue  # which no preset is for
        (tmp_path / "p.toml").write_text(to_toml(first, provenance=False), "utf-8")
        loaded = Catalogue(()).load(str(tmp_path / "p.toml"))
        assert (loaded.train, loaded.dataset) == (first.train, first.dataset)
        for tag in tags(first):
            made = export.export(first, tag, ADDITIONS)
            assert read.json_file(made.text.encode(), "again", ADDITIONS).preset == first, (
                file.stem,
                tag,
            )
            bare = {key: value for key, value in made.values.items() if key != notes.KEY}
            saved_again = read.json_file(json.dumps(bare).encode(), "again", ADDITIONS).preset
            assert saved_again.tables == first.tables, (file.stem, tag)


@pytest.mark.parametrize("version", usually(VERSIONS[1:], [NEWEST]))
def test_an_imported_lora_is_trained_the_same_in_every_version(
    version: str, sources: Path, tmp_path: Path
) -> None:
    for number, file in enumerate(shipped_with_the_gui(sources)):
        preset = read.json_file(file.read_bytes(), file.stem, ADDITIONS).preset
        if preset.script == "fine_tune.py":
            continue
        if version != HEAD and version not in tags(preset):
            continue
        if version == "v24.1.7" and isinstance(preset.train.get("lr_warmup_steps"), float):
            steps = {"lr_warmup_steps": 10}  # its sd-scripts take no share; tested below
            preset = replace(preset, train={**preset.train, **steps})
        work = tmp_path / str(number)
        work.mkdir()
        assert_same(sent(preset, version, sources, work), preset, places(work))


@pytest.mark.parametrize("data", [False, True], ids=["folders", "dataset config"])
@pytest.mark.parametrize(
    ("length", "steps"), [({"max_train_epochs": 10}, 20), ({"max_train_steps": 500}, 50)]
)
@pytest.mark.parametrize("version", [*TAGS[:2], "v23.1.5", *TAGS[2:], HEAD])
def test_a_warmup_in_percent_is_one_that_the_versions_sd_scripts_take(
    version: str, length: dict[str, int], steps: int, data: bool, sources: Path, tmp_path: Path
) -> None:
    train = {k: v for k, v in LORA.train.items() if k != "max_train_epochs"} | length
    preset = replace(LORA, train=train | {"lr_scheduler": "cosine", "lr_warmup_steps": 0.1})
    found = sent(preset, version, sources, tmp_path, data=data)
    known = options.of("sdxl_train_network.py", releases.of_gui(gui_tag(version, sources)))
    warmup = found.get("lr_warmup_steps")
    if warmup is not None:
        assert options.check(known["lr_warmup_steps"], warmup) is None
    whole = known["lr_warmup_steps"].type == "int"
    counts = "max_train_steps" in length or not data or version == "v22.3.0"
    assert warmup == ((steps if counts else None) if whole else 0.1)


def gui_tag(version: str, sources: Path) -> str:
    return gui_files.installed(gui_sources.get(version, sources)).tag


@pytest.mark.parametrize("version", [*TAGS[2:], HEAD])
def test_a_warmup_in_steps_arrives_beside_a_dataset_config(
    version: str, sources: Path, tmp_path: Path
) -> None:
    train = {**LORA.train, "lr_scheduler": "cosine", "lr_warmup_steps": 30}
    found = sent(replace(LORA, train=train), version, sources, tmp_path)
    assert found["lr_warmup_steps"] == 30


@pytest.mark.parametrize("tag", TAGS)
def test_facts_are_those_of_the_sources(tag: str, sources: Path) -> None:
    gui = gui_sources.get(tag, sources)
    tabs, first = make.everything(read_gui.Gui(gui))
    assert gui_files.installed(gui) == gui_files.Installed(gui.resolve(), tag, True)
    for tab in gui_sources.tabs(tag):
        assert [*tab.fields] != []
        assert set(tab.fields) == set(tabs[tab.name]["fields"])
        assert set(tab.rules) == set(tabs[tab.name]["options"])
        assert tab.extra_first is first


def test_the_newest_commit_is_taken_as_the_newest_tag(sources: Path) -> None:
    gui = gui_sources.get(HEAD, sources)
    assert gui_files.installed(gui) == gui_files.Installed(gui.resolve(), NEWEST, False)
    now, first = make.everything(read_gui.Gui(gui))
    for tab in gui_sources.tabs(NEWEST):
        assert set(now[tab.name]["fields"]) == set(tab.fields) | SAVES_MORE[tab.name]
        assert now[tab.name]["options"].keys() == tab.rules.keys()
        assert now[tab.name]["networks"].keys() == tab.networks.keys()
        assert tab.extra_first is first
