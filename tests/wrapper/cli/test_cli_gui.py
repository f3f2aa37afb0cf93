"""`kohya-presets gui`: files written and printed, installations known, nothing overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kohya_presets.errors import PresetError, UserError
from kohya_presets.gui.versions import fields
from kohya_presets.presets.catalogue import Catalogue
from wrapper.cli import cli
from wrapper.export import gui_files

KEYS = ", ".join(["save_as_bool", "file_path", *fields.tab("finetune", "v25.2.1").fields])


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["gui", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def gui(tmp_path: Path) -> Path:
    """Make a folder like a Kohya GUI whose finetune tab has the fields of v25.2.1."""
    folder = tmp_path / "kohya ss ü"
    (folder / "kohya_gui").mkdir(parents=True)
    text = f"def save_configuration({KEYS}):\n    pass\n"
    (folder / "kohya_gui" / "finetune_gui.py").write_text(text, "utf-8")
    (folder / ".release").write_text("v25.2.1", "utf-8")
    return folder


def test_export_prints_json_and_talks_on_stderr() -> None:
    done = run("export", "adacoor")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["learning_rate"] == 1.0
    assert f"adacoor for the finetune tab of {fields.tags()[-1]}: 1 added" in done.stderr
    assert "--optimizer_type=AdaCoor in Additional parameters" in done.stderr


def test_export_to_a_file_never_overwrites_unasked(tmp_path: Path) -> None:
    file = tmp_path / "lion.json"
    assert run("export", "lion", "--gui", "24.1.7", "--out", file).stdout == f"{file}\n"
    first = file.read_bytes()
    with pytest.raises(UserError, match="already exists") as caught:
        run("export", "skynet", "--out", file)
    assert "--force" in str(caught.value.hint)
    assert file.read_bytes() == first
    run("export", "skynet", "--out", file, "--force")
    assert file.read_bytes() != first
    assert [f.name for f in tmp_path.glob("*.part")] == []


def test_install_finds_the_version_and_its_folder(gui: Path) -> None:
    done = run("export", "lion", "--install", gui)
    file = gui / "presets" / "finetune" / "user_presets" / "lion.json"
    assert done.stdout == f"{file.resolve()}\n"
    values = json.loads(file.read_text("ascii"))
    assert values["kohya_presets"]["gui"] in ("v25.2.1", "v25.2.2")
    assert "like v25.2" in done.stderr
    assert "Restart the GUI" in done.stderr
    assert done.stderr.index("base model") < done.stderr.index("Choose the preset user_presets")
    run("export", "lion", "--install", gui)  # the same again
    file.write_text("{}", "utf-8")
    with pytest.raises(UserError, match="already exists"):
        run("export", "lion", "--install", gui)
    assert file.read_text("utf-8") == "{}"
    run("export", "lion", "--install", gui, "--force")
    assert json.loads(file.read_text("ascii")) == values


def test_install_with_data_writes_a_dataset_config_beside(gui: Path, tmp_path: Path) -> None:
    run("export", "a6000", "--install", gui, "--data", tmp_path / "images")
    folder = gui / "presets" / "finetune" / "user_presets"
    config = folder / "a6000.dataset.toml"
    assert "num_repeats = 2" in config.read_text("utf-8")
    values = json.loads((folder / "a6000.json").read_text("utf-8"))
    assert values["dataset_config"] == str(config.resolve())


def test_a_patch_is_asked_for(gui: Path) -> None:
    done = run("export", "a100-ema", "--install", gui)
    assert "kohya-presets patch apply ema" in done.stderr


@pytest.mark.parametrize("text", ["", "def save_configuration(:\n", "x = 1\n"])
def test_a_folder_that_only_looks_like_it_is_refused(text: str, gui: Path) -> None:
    (gui / "kohya_gui" / "finetune_gui.py").write_text(text, "utf-8")
    with pytest.raises(UserError, match="is not the finetune tab of a Kohya GUI"):
        gui_files.installed(gui)


def test_a_folder_without_a_gui_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a Kohya GUI folder"):
        run("export", "lion", "--install", tmp_path)
    assert list(tmp_path.glob("presets")) == []


@pytest.mark.parametrize(
    "words",
    [("--install", ".", "--gui", "v24.1.7"), ("--install", ".", "--out", "x"), ("--data", ".")],
)
def test_options_that_contradict_are_wrong_usage(words: tuple[str, ...]) -> None:
    assert run("export", "lion", *words).exit_code == 2


def test_import_prints_a_preset_that_loads(tmp_path: Path) -> None:
    file = tmp_path / "lion.json"
    run("export", "lion", "--out", file)
    done = run("import", file, "--out", tmp_path / "back.toml")
    assert done.stdout == f"{tmp_path / 'back.toml'}\n"
    back = Catalogue(()).load(str(tmp_path / "back.toml"))
    assert (back.name, back.train["optimizer_type"]) == ("lion", "Lion")
    assert run("import", file).stdout == (tmp_path / "back.toml").read_text("utf-8")
    (tmp_path / "back.toml").write_text("# mine", "utf-8")
    with pytest.raises(UserError, match="already exists"):
        run("import", file, "--out", tmp_path / "back.toml")
    assert (tmp_path / "back.toml").read_text("utf-8") == "# mine"


def test_import_takes_a_name_and_tells_all_on_demand(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"sdxl": true, "network_dim": 8, "full_bf16": true}', "utf-8")
    done = run("import", file, "--name", "My style", "--all")
    assert 'name = "my-style"' in done.stdout
    assert "mapped    network_dim" in done.stderr
    assert "mapped    network_dim" not in run("import", file).stderr


def test_import_of_sd_scripts_own_config(tmp_path: Path) -> None:
    run_ = CliRunner().invoke(cli, ["render", "skynet", "--out", str(tmp_path / "r")])
    assert run_.exit_code == 0
    done = run("import", tmp_path / "r" / "config.toml", "--name", "again")
    assert "min_snr_gamma = 5" in done.stdout
    assert "[extract]" not in done.stdout


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.json", b"[1]"),
        ("x.json", b'{"sdxl": false, "sd3_checkbox": true, "network_dim": 8}'),
        ("x.json", b" " * 5_000_000),
        ("x.toml", b"\xff"),
        ("x.toml", b"a = ["),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises((UserError, PresetError)):
        run("import", tmp_path / name, "--out", tmp_path / "out.toml")
    assert {f.name for f in tmp_path.iterdir()} - {"home", "here"} == {name}


def test_a_missing_file_is_told() -> None:
    with pytest.raises(UserError, match=r"cannot read nowhere\.json"):
        run("import", "nowhere.json")


CONFIG = 'pretrained_model_name_or_path = "m"\noutput_dir = "o"\nmax_train_epochs = 10\n'


@pytest.mark.parametrize(
    "text",
    [
        CONFIG + 'resolution = "1024,1024"\nlog_with = "tensorboard"\nlogging_dir = "./logs"\n',
        CONFIG + 'resolution = "512"\nsample_every_n_epochs = 1\nsample_prompts = "p.txt"\n',
        CONFIG + 'resolution = "512"\nreg_data_dir = "/r"\ntrain_data_dir = "/t"\nvae = "/v"\n',
        CONFIG.replace("10", "0") + 'max_train_steps = 500\nresolution = "512"\n',
        "[[datasets]]\nresolution = 64\n[[datasets.subsets]]\nimage_dir = 'd'\n"
        'conditioning_data_dir = "C:/Users/user/masks"\n',
    ],
)
def test_what_an_import_makes_can_be_rendered(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text, "utf-8")
    done = run("import", tmp_path / "c.toml", "--out", tmp_path / "p.toml")
    assert "Fix these errors" not in done.stderr
    words = ["render", str(tmp_path / "p.toml"), "--out", str(tmp_path / "r")]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0


def test_what_an_import_leaves_open_is_said(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG + 'dataset_config = "gone.toml"\n', "utf-8")
    done = run("import", tmp_path / "c.toml")
    assert done.stderr.endswith(
        "Fix these errors in the preset before you render it or train:\n"
        "  dataset.resolution: resolution is missing\n"
    )
    assert "dataset_config: file not found" in done.stderr


def test_a_number_without_an_end_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot export train\.learning_rate = inf"):
        run("export", "skynet", "--set", "train.learning_rate=inf", "--out", tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_a_path_for_a_shell_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "`id`" / "x.json"
    with pytest.raises(UserError, match="starts the training in a shell"):
        run("export", "lion", "--gui", "v22.3.0", "--out", out, "--data", tmp_path)
    assert not out.parent.exists()
