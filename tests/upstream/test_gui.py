"""Our exports through the Kohya GUI's own functions, and its own presets through our import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kohya_presets import checks
from kohya_presets.catalogue import Catalogue
from kohya_presets.gui import export, fields, notes, read
from kohya_presets.preset import Preset, to_toml
from kohya_presets.settings import STAND_INS
from tests.sheets import SHIPPED_NAMES
from tests.upstream import gui_sources
from tools import make_gui, read_gui
from wrapper import gui_files

TAGS = ("v22.3.0", "v24.1.7", "v25.2.1", "v26.0.0")
NEWEST = fields.tags()[-1]
# What the GUI sends beyond our config, and why it is the same training. A value is what it must be.
EXPLAINED: dict[str, tuple[Any, str]] = {
    "accelerate": (..., "compared by itself"),
    "adaptive_noise_scale": (0, "no noise offset that it could scale"),
    "block_lr": ("", "empty: not given"),
    "caption_dropout_every_n_epochs": (0, "0 drops no caption"),
    "caption_dropout_rate": (0, "0 drops no caption"),
    "clip_skip": (1, "the SDXL scripts warn and take no notice"),
    "dataset_repeats": (..., "the dataset config says it"),
    "dynamo_backend": ("no", "read only with torch_compile"),
    "epoch": (..., "no option of sd-scripts"),
    "gradient_accumulation_steps": (1, "sd-scripts' default"),
    "lr_scheduler": ("constant", "sd-scripts' default"),
    "huber_c": (0.1, "sd-scripts' default"),
    "huber_scale": (1.0, "sd-scripts' default"),
    "huber_schedule": ("snr", "sd-scripts' default"),
    "in_json": (..., "sd-scripts takes no notice of it beside a dataset config"),
    "ip_noise_gamma": (0, "0 adds no noise"),
    "keep_tokens": (0, "0 keeps no token in place"),
    "loss_type": ("l2", "sd-scripts' default"),
    "lr_scheduler_args": ([], "empty: not given"),
    "lr_scheduler_num_cycles": (1, "sd-scripts' default"),
    "lr_scheduler_power": (1, "sd-scripts' default"),
    "lr_warmup_steps": (0, "no warm-up"),
    "max_bucket_reso": (1024, "sd-scripts' default"),
    "max_data_loader_n_workers": (8, "sd-scripts' default"),
    "max_grad_norm": (1.0, "sd-scripts' default"),
    "max_timestep": (1000, "all timesteps"),
    "max_token_length": (75, "the length that sd-scripts uses without it"),
    "max_train_steps": (..., "max_train_epochs wins"),
    "min_bucket_reso": (256, "sd-scripts' default"),
    "min_timestep": (0, "all timesteps"),
    "multires_noise_discount": (0.3, "sd-scripts' default, and without iterations of no effect"),
    "network_args": ([], "empty: not given"),
    "noise_offset": (0, "0 adds no noise"),
    "noise_offset_type": (..., "no option of sd-scripts"),
    "optimizer_args": ([], "empty: not given"),
    "persistent_data_loader_workers": (0, "off"),
    "prior_loss_weight": (1.0, "sd-scripts' default"),
    "sample_prompts": (..., "no sample is made without sample_every_n_epochs or _steps"),
    "sample_sampler": ("ddim", "sd-scripts' default, and no sample is made"),
    "save_model_as": ("safetensors", "the default of the LoRA script"),
    "caption_extension": (".caption", "sd-scripts' default"),
    "mixed_precision": ("no", "sd-scripts' default"),
    "script": (..., "compared by itself"),
    "train_batch_size": (1, "sd-scripts' default"),
    "train_data_dir": (..., "sd-scripts takes no notice of it beside a dataset config"),
    "wandb_run_name": (..., "read only with wandb"),
    "bucket_reso_steps": (64, "sd-scripts' default"),
    "save_every_n_epochs": (0, "no save in between"),
    "loraplus_lr_ratio": (0, "no option of sd-scripts"),
    "network_dropout": (0, "0 drops nothing"),
    "scale_weight_norms": (0, "0 scales nothing"),
    "network_alpha": (1, "sd-scripts' default"),
    "dim_from_weights": (False, "off"),
}
# A rate that is not given is the learning rate: the GUI sends it, for its own 0 would freeze.
RATES = ("learning_rate_te1", "learning_rate_te2", "text_encoder_lr", "unet_lr")

pytestmark = [pytest.mark.upstream]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gui")


def sent(preset: Preset, tag: str, sources: Path, work: Path) -> dict[str, Any]:
    """Return what the GUI's own functions make of our export."""
    gui = gui_sources.get(tag, sources)
    (work / "images").mkdir()
    (work / "images" / "a.png").touch()
    (work / "base.safetensors").touch()
    made = gui_files.made(preset, tag, work / "p.json", data=work / "images")
    gui_files.write(made.files)
    images = {"image_folder": str(work / "images")}
    if made.exported.tab.name == "lora":
        images = {"train_data_dir": str(work / "images")}
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
        **images,
    )


def assert_same_training(found: dict[str, Any], preset: Preset, work: Path) -> None:
    """Hold every option that is sent against our config, and every one of ours against those."""
    ours = {
        **{STAND_INS.get(key, key): value for key, value in preset.dataset.items()},
        **preset.train,
        "pretrained_model_name_or_path": str(work / "base.safetensors"),
        "output_dir": str(work),
        "output_name": "product",
        "dataset_config": str(work / "p.dataset.toml"),
    }
    assert found["script"] == preset.script
    assert found.get("accelerate", "fp16") == ours.get("mixed_precision", "no")
    unexplained = []
    for name in sorted({*found, *ours}):
        if name in found and name in ours and plain(name, found[name]) == plain(name, ours[name]):
            continue
        if name not in found and EXPLAINED.get(name, (None,))[0] == ours.get(name):
            continue  # we say it, the GUI leaves it open, and it is the same
        if name in preset.dataset or (name in RATES and rate(found, name) == rate(ours, name)):
            continue  # the dataset config, which is ours, says it
        allowed, _ = EXPLAINED.get(name, (None, ""))
        if name in ours or not (allowed is ... or found[name] == allowed):
            unexplained.append((name, found.get(name), ours.get(name)))
    assert unexplained == []


def rate(options: dict[str, Any], name: str) -> float:
    value = options.get(name, options.get("learning_rate"))
    return float(value[0] if isinstance(value, list) else value)


def plain(name: str, value: Any) -> Any:
    if name == "resolution":
        return [int(side) for side in value.split(",")] if isinstance(value, str) else value
    if name == "network_args":
        return sorted(dict.fromkeys(value))
    return value[0] if name == "text_encoder_lr" and isinstance(value, list) else value


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_the_gui_starts_the_training_of_our_config(
    name: str, tag: str, shipped: Catalogue, sources: Path, tmp_path: Path
) -> None:
    preset = shipped.load(name)
    assert_same_training(sent(preset, tag, sources, tmp_path), preset, tmp_path)


def shipped_with_the_gui(sources: Path) -> list[Path]:
    presets = gui_sources.get(NEWEST, sources) / "presets"
    return sorted([*presets.glob("finetune/*.json"), *presets.glob("lora/*.json")])


def test_every_preset_of_the_gui_imports_and_stays_what_it_is(
    sources: Path, tmp_path: Path
) -> None:
    files = shipped_with_the_gui(sources)
    assert len(files) >= 35
    for file in files:
        first = read.json_file(file.read_bytes(), file.stem).preset
        if first.script not in checks.TRAINERS:
            assert "sd15" in file.stem or "flux" in file.stem
            continue
        (tmp_path / "p.toml").write_text(to_toml(first, provenance=False), "utf-8")
        loaded = Catalogue(()).load(str(tmp_path / "p.toml"))
        assert (loaded.train, loaded.dataset) == (first.train, first.dataset)
        for tag in TAGS:
            made = export.export(first, tag)
            assert read.json_file(made.text.encode(), "again").preset == first, (file.stem, tag)
            bare = {key: value for key, value in made.values.items() if key != notes.KEY}
            saved_again = read.json_file(json.dumps(bare).encode(), "again").preset
            assert saved_again.tables == first.tables, (file.stem, tag)


@pytest.mark.parametrize("tag", TAGS[1:])
def test_an_imported_lora_is_trained_the_same_in_every_version(
    tag: str, sources: Path, tmp_path: Path
) -> None:
    for number, file in enumerate(shipped_with_the_gui(sources)):
        preset = read.json_file(file.read_bytes(), file.stem).preset
        if preset.script not in checks.TRAINERS:
            continue
        work = tmp_path / str(number)
        work.mkdir()
        assert_same_training(sent(preset, tag, sources, work), preset, work)


@pytest.mark.parametrize("tag", TAGS)
def test_facts_are_those_of_the_sources(tag: str, sources: Path) -> None:
    gui = gui_sources.get(tag, sources)
    tabs, first = make_gui.everything(read_gui.Gui(gui))
    assert gui_files.installed(gui) == gui_files.Installed(gui.resolve(), tag, True)
    for tab in gui_sources.tabs(tag):
        assert [*tab.fields] != []
        assert set(tab.fields) == set(tabs[tab.name]["fields"])
        assert set(tab.rules) == set(tabs[tab.name]["options"])
        assert tab.extra_first is first
