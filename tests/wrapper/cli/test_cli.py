"""What a person types, and what comes back."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import click
import pytest
import toml
from click.testing import CliRunner, Result
from PIL import Image

from kohya_presets.errors import UserError
from kohya_presets.loras import summary
from tests import tensors
from tests.sheets import SHIPPED_NAMES, SHIPPED_PATCHES
from wrapper.cli import COMMANDS, cli
from wrapper.rehearsal import pictures
from wrapper.rehearsal.adapt import STANDIN
from wrapper.system import proc


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def typed(*words: str | Path) -> proc.Result:
    """Run in a process of its own, through the entry point, with its exit code."""
    code = "from wrapper.cli import main; main()"
    return proc.run([sys.executable, "-c", code, *words], check=False)


def test_every_command_explains_itself() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help, f"{name} has no help"
        assert run(name, "--help").exit_code == 0


def test_list_names_the_shipped_ones_and_your_own(home: Path) -> None:
    run("new", "mine", "--extends", "skynet")
    listed = [line.split()[0] for line in run("list").stdout.splitlines()]
    assert listed == [*SHIPPED_NAMES, "mine"]
    assert json.loads(run("list", "--json").stdout)["presets"][-1]["name"] == "mine"


def test_a_broken_preset_does_not_hide_the_others(home: Path) -> None:
    (home / "presets").mkdir(parents=True)
    (home / "presets" / "broken.toml").write_text("schema = ", "utf-8")
    result = run("list")
    assert "skynet" in result.stdout
    assert "broken" in result.stderr


def test_show_prints_a_preset_that_can_be_read_again() -> None:
    shown = run("show", "lion", "--set", "train.learning_rate=2e-7").stdout
    assert toml.loads(shown)["train"]["learning_rate"] == 2e-7
    assert "[provenance]" not in shown
    assert "[provenance]" in run("show", "lion", "--provenance").stdout
    assert json.loads(run("show", "lion", "--json").stdout)["train"]["optimizer_type"] == "Lion"


def test_new_writes_only_what_differs(home: Path) -> None:
    changes = ("train.learning_rate=5e-7", "train.min_snr_gamma=unset", "resize.new_rank=32")
    words = [word for change in changes for word in ("--set", change)]
    file = Path(run("new", "gentle", "--extends", "skynet", *words).stdout.strip())
    assert file == home / "presets" / "gentle.toml"
    written = toml.load(file)
    assert written["train"] == {"learning_rate": 5e-7, "min_snr_gamma": "unset"}
    assert written["resize"] == {"new_rank": 32}
    shown = json.loads(run("show", "gentle", "--json").stdout)
    assert "min_snr_gamma" not in shown["train"]
    assert shown["extract"]["dim"] == 512


def test_new_never_overwrites() -> None:
    run("new", "mine", "--extends", "skynet")
    with pytest.raises(UserError, match="already exists"):
        run("new", "mine", "--extends", "lion")


def test_a_stage_that_is_unset_stays_out_of_a_new_preset(tmp_path: Path) -> None:
    run("new", "mine", "--extends", "skynet", "--set", "resize=unset", "--set", "train.seed=7")
    run("render", "mine", "--out", tmp_path / "out")
    commands = (tmp_path / "out" / "command.txt").read_text("utf-8")
    assert "resize_lora.py" not in commands
    assert "extract_lora_from_models.py" in commands


def test_a_new_preset_is_called_without_its_suffix() -> None:
    made = Path(run("new", "mine.toml", "--extends", "skynet").stdout.strip())
    assert made.name == "mine.toml"
    assert 'name = "mine"' in made.read_text("utf-8")
    made.with_name("odd.toml.toml").write_text(made.read_text("utf-8"), "utf-8")
    assert "odd.toml" in run("list").stdout
    assert "learning_rate" in run("show", "odd.toml").stdout


def test_a_new_preset_extends_what_it_will_find(tmp_path: Path) -> None:
    shipped = run("show", "skynet").stdout
    local = shipped.replace("learning_rate = 1e-06", "learning_rate = 7e-06")
    assert local != shipped
    here = Path("presets")  # of the folder that a test runs in
    here.mkdir()
    (here / "skynet.toml").write_text(local, "utf-8")
    run("new", "skynet", "--extends", "skynet", "--set", "train.seed=7")
    run("new", "third", "--extends", here / "skynet.toml", "--set", "train.seed=8")
    assert "learning_rate = 7e-06" in run("show", "third").stdout
    (here / "skynet.toml").rename(here / "other.toml")
    text = run("show", "skynet").stdout
    assert "learning_rate = 1e-06" in text
    assert "seed = 7" in text


def test_diff_is_one_line_for_each_setting() -> None:
    assert "~ train.learning_rate = 1.0 -> 1e-07" in run("diff", "adacoor", "lion").stdout


def test_render_writes_three_files_alike_each_time(tmp_path: Path) -> None:
    words = ("--data", tmp_path / "my pictures", "--base", tmp_path / "sdxl ü.safetensors")
    files = run("render", "skynet", "--out", tmp_path / "out", *words).stdout.splitlines()
    assert [Path(f).name for f in files] == ["config.toml", "dataset.toml", "command.txt"]
    first = [Path(f).read_bytes() for f in files]
    run("render", "skynet", "--out", tmp_path / "out", *words)
    assert [Path(f).read_bytes() for f in files] == first
    config = toml.load(files[0])
    assert config["pretrained_model_name_or_path"] == str(tmp_path / "sdxl ü.safetensors")
    commands = Path(files[2]).read_text("utf-8").splitlines()[1:]
    assert [line.split()[0] for line in commands] == ["accelerate", "python", "python"]


def test_render_writes_over_nothing_of_yours(tmp_path: Path) -> None:
    yours = tmp_path / "dataset.toml"
    yours.write_text("# mine\n", "utf-8")
    with pytest.raises(UserError, match=r"dataset\.toml already exists"):
        run("render", "skynet", "--out", tmp_path)
    assert not (tmp_path / "config.toml").exists()
    assert yours.read_text("utf-8") == "# mine\n"
    run("render", "skynet", "--out", tmp_path, "--force")
    assert "# mine" not in yours.read_text("utf-8")


def test_render_stops_at_errors_and_names_the_patches(tmp_path: Path) -> None:
    result = typed("render", "skynet", "--out", tmp_path / "a", "--set", "train.optimizer_type=foo")
    assert result.returncode == 3
    assert not (tmp_path / "a").exists()
    run("render", "a100-ema", "--out", tmp_path / "b")
    commands = (tmp_path / "b" / "command.txt").read_text("utf-8")
    assert "kohya-presets patch apply ema --checkout ." in commands.splitlines()[1]


@pytest.mark.parametrize(
    ("base", "is_path"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", False),
        ("models/sdxl.safetensors", True),
        ("sdxl.safetensors", True),
    ],
)
def test_render_takes_a_repository_for_no_path(base: str, is_path: bool, tmp_path: Path) -> None:
    run("render", "skynet", "--out", tmp_path, "--base", base)
    found = toml.load(tmp_path / "config.toml")["pretrained_model_name_or_path"]
    assert found == (str(Path(base).resolve()) if is_path else base)


def test_render_for_a_release_that_lacks_an_option_is_refused(tmp_path: Path) -> None:
    words = ("--release", "v0.9.1", "--set", "train.huber_scale=0.5")
    result = typed("render", "skynet", "--out", tmp_path / "out", *words)
    assert result.returncode == 3
    assert "train.huber_scale came with v0.10.0" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_prints_every_stage_and_writes_nothing(tmp_path: Path, home: Path) -> None:
    result = run(
        *("train", "skynet", "--data", tmp_path / "x", "--base", "o/r", "--dry-run"),
        *("--runs", tmp_path / "runs", "--name", "korra"),
    )
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("#")] == ["# train", "# extract", "# resize"]
    assert "accelerate.commands.launch" in lines[1]
    assert "sdxl_train.py" in lines[1]
    assert "v0.10.1" in lines[1]
    assert not (tmp_path / "runs").exists()
    assert not home.exists()


def test_captions_are_shown_then_written(tmp_path: Path) -> None:
    (tmp_path / "korra (1).png").touch()
    result = run("captions", tmp_path, "--dry-run")
    assert "korra (1).txt: korra" in result.stdout
    assert "would write 1 of 1" in result.stderr
    assert not (tmp_path / "korra (1).txt").exists()
    run("captions", tmp_path)
    assert (tmp_path / "korra (1).txt").read_text("utf-8") == "korra"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "skyne"), 1, "Did you mean 'skynet'?"),
        (("show",), 2, "Missing argument"),
        (("show", "skynet", "--set", "train.lerning_rate=1"), 3, "learning_rate"),
        (("resume", "nowhere"), 1, "is not a run folder"),
        (("checkout", "remove", "v0.9.1"), 1, "checkout add v0.9.1"),
        (("captions", "nowhere"), 1, "no such folder"),
    ],
)
def test_exit_codes_and_hints(words: tuple[str, ...], code: int, said: str) -> None:
    result = typed(*words)
    assert result.returncode == code, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_train_stops_before_anything_is_fetched_when_there_are_no_images(
    tmp_path: Path, home: Path
) -> None:
    base = tensors.write(tmp_path / "sdxl.safetensors", tensors.SDXL)
    result = typed("train", "skynet", "--data", tmp_path / "gone", "--base", base)
    assert result.returncode == 1
    assert "no such folder" in result.stderr
    assert not home.exists()


def test_train_refuses_a_lora_as_base(tmp_path: Path, home: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a", "utf-8")
    base = tensors.write(tmp_path / "lora.safetensors", tensors.lora())
    result = typed("train", "skynet", "--data", tmp_path, "--base", base)
    assert result.returncode == 1
    assert "is a LoRA" in result.stderr
    assert not home.exists()


def test_train_never_takes_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a", "utf-8")
    base = tensors.write(tmp_path / "sdxl.safetensors", tensors.SDXL)
    monkeypatch.setenv("SD_SCRIPTS_REMOTE", (tmp_path / "gone.git").as_uri())
    result = typed("train", "skynet", "--data", tmp_path, "--base", base)
    assert result.returncode == 1
    assert "could not be reached" in result.stderr
    assert "stand-in" not in result.stdout + result.stderr


@pytest.mark.trainer
@pytest.mark.parametrize(
    ("preset", "patches"),
    [
        ("adacoor", ["adacoor", "fast-lora"]),
        pytest.param("a100-ema", ["ema"], marks=pytest.mark.every_release),
        pytest.param("skynet", [], marks=pytest.mark.every_release),
    ],
)
def test_out_of_reach_a_patched_copy_of_the_stand_in_is_rehearsed_with_your_images_and_said(
    preset: str,
    patches: list[str],
    trainer_python: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SD_SCRIPTS_REMOTE", (tmp_path / "gone.git").as_uri())
    pictures.draw(tmp_path / "my pictures", count=3)
    words = ("--python", trainer_python, "--runs", tmp_path / "runs")
    result = typed("rehearse", preset, "--data", tmp_path / "my pictures", *words)
    assert result.returncode == 6, result.stderr
    lines = result.stderr.splitlines()
    said = next(n for n, line in enumerate(lines) if "could not be reached" in line)
    assert "gone.git' does not appear to be a git repository" in lines[said]
    assert any(re.search(r"\+ training changed: U-Net by [\d.e-]+, text", x) for x in lines)
    assert any("+ sdxl_train.py used " in line for line in lines)
    again = typed("resume", tmp_path / f"runs/rehearsal-{preset}")
    assert (again.returncode, again.stdout) == (6, result.stdout)
    assert "stand-in" in lines[said + 1]
    assert "stand-in" in lines[-1]
    assert len(list((tmp_path / f"runs/rehearsal-{preset}/data").glob("*.png"))) == 3
    assert "train.max_train_epochs: " in result.stderr
    if preset == "adacoor":  # which extracts and does not resize: rank 128, or a layer's width
        assert summary.describe(Path(result.stdout.strip())).rank == 64
    run = toml.loads((tmp_path / f"runs/rehearsal-{preset}/run.toml").read_text("utf-8"))
    assert list(run.get("patches", {})) == patches
    assert any(home.glob("stand-in/*/library/kp_*.py")) is bool(patches)
    assert not list(STANDIN.rglob("kp_*.py"))


@pytest.mark.parametrize("layout", ["a clone", "nothing"])
def test_patches_from_the_command_line(layout: str, tmp_path: Path) -> None:
    clone = tmp_path / "sd scripts"
    if layout == "nothing":
        clone.mkdir()
        result = typed("patch", "apply", "ema", "--checkout", clone)
        assert (result.returncode, "does not contain sd-scripts" in result.stderr) == (1, True)
        return
    shutil.copytree(STANDIN, clone, ignore=shutil.ignore_patterns("__pycache__"))
    where = ("--checkout", clone)
    assert "+    kp_ema.add_arguments(parser)" in typed("patch", "diff", "ema", *where).stdout
    assert "new      library/kp_ema.py" in typed("patch", "apply", "ema", *where).stdout.replace(
        "\\", "/"
    )
    said = typed("patch", "status", "--json", *where).stdout
    states = {found["patch"]: found["state"] for found in json.loads(said)["patches"]}
    other = {"ema": "applied", "resume": "does not fit"}  # it has no train_network.py
    assert states == {**dict.fromkeys(SHIPPED_PATCHES, "absent"), **other}
    assert "nothing to do" in typed("patch", "apply", "ema", *where).stderr
    result = typed("patch", "revert", "emma", *where)
    assert (result.returncode, "Did you mean 'ema'?" in result.stderr) == (1, True)
    assert "removed" in typed("patch", "revert", *where).stdout
    assert not list(clone.rglob("kp_*.py"))
    script = clone / "sdxl_train.py"
    script.write_text(script.read_text("utf-8").replace("global_step += 1", "pass"), "utf-8")
    result = typed("patch", "apply", "ema", *where)
    assert (result.returncode, "hint: " in result.stderr) == (4, True)


def test_one_broken_patch_of_yours_is_listed_with_its_fault(tmp_path: Path, home: Path) -> None:
    own = home / "patches"
    for name, text in {"mine": "format = 1\n[patch]\nname = 'mine'\n", "other": "format ="}.items():
        (own / name).mkdir(parents=True)
        (own / name / "patch.toml").write_text(text, "utf-8")
    clone = tmp_path / "sd scripts"
    shutil.copytree(STANDIN, clone, ignore=shutil.ignore_patterns("__pycache__"))
    for words in (("patch", "list"), ("patch", "status", "--checkout", clone)):
        result = typed(*words)
        assert result.returncode == 0, result.stderr
        for name in SHIPPED_PATCHES:
            assert f"\n{name} " in f"\n{result.stdout}"
        for name, fault in {"mine": "summary is missing", "other": "toml-syntax"}.items():
            about = result.stdout.split(f"cannot be used: patch '{name}'")[1]
            assert fault in about.split("cannot be used")[0]


def test_validate_tells_what_is_wrong_with_the_images_of_a_dataset_config(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (1024, 1024)).save(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "a.txt").write_bytes(b"")
    config = tmp_path / "dataset.toml"
    subset = 'image_dir = "images"\ncaption_extension = ".txt"\n'
    config.write_text(f"[[datasets]]\nresolution = 1024\n[[datasets.subsets]]\n{subset}", "utf-8")
    result = run("validate", config)
    assert result.exit_code == 3
    assert "[caption-empty]" in result.stdout
    assert "[caption-empty]" not in run("validate", config, "--ignore", "caption-empty").stdout
