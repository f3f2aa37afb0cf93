"""`kohya-presets explain`, as it is typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kohya_presets.errors import PresetError
from wrapper.cli import cli
from wrapper.system import proc

HEAVY = ("torch", "toml", "tomlkit", "rich", "safetensors", "huggingface_hub")


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *words], catch_exceptions=False)


def typed(*words: str, then: str = "") -> proc.Result:
    code = f"import sys; from wrapper.cli import main\ntry: main()\nfinally: {then or 'pass'}"
    return proc.run([sys.executable, "-c", code, "explain", *words], check=False)


@pytest.mark.parametrize("name", ["clip_skip", "--clip-skip", "Clip skip", "train.clip_skip"])
def test_an_option_is_explained_however_it_is_called(name: str) -> None:
    assert run(name).stdout.startswith("train.clip_skip\n")


def test_json_has_the_same_as_the_text() -> None:
    (option,) = json.loads(run("min_snr_gamma", "--json").stdout)["options"]
    assert option["option"] == "train.min_snr_gamma"
    assert option["guide"][0]["date"] == "2023-12-08"
    assert option["presets"]["skynet"] == 5
    assert option["presets"]["a6000"] is None
    assert (option["type"], option["since"], option["patch"]) == ("float", "v0.7.0", None)


def test_a_preset_is_explained_as_json_too() -> None:
    found = json.loads(run("skynet", "--json").stdout)
    assert found["preset"]["date"] == "2023-12-05"
    (rank,) = (each for each in found["settings"] if each["key"] == "resize.new_rank")
    assert (rank["value"], rank["why"][:6]) == (16, "guide:")


def test_a_preset_of_your_own_is_explained() -> None:
    CliRunner().invoke(cli, ["new", "gentle", "--extends", "skynet", "--set", "extract.dim=64"])
    said = run("gentle").stdout
    assert said.startswith("gentle: ")
    assert "dim = 64" in said


def test_an_unknown_name_ends_with_a_hint_and_1() -> None:
    result = typed("min_snr_gama")
    assert result.returncode == 1
    assert "there is no option or preset 'min_snr_gama'" in result.stderr
    assert "hint: Did you mean 'min_snr_gamma'" in result.stderr
    assert result.stdout == ""


def test_a_broken_preset_is_an_error_of_its_own() -> None:
    Path("broken.toml").write_text("schema = 1\n[trian]\n", "utf-8")
    with pytest.raises(PresetError):
        run("./broken.toml")


def test_it_imports_nothing_heavy() -> None:
    then = f"print('LOADED', *(name for name in {HEAVY} if name in sys.modules))"
    assert typed("skynet", then=then).stdout.splitlines()[-1] == "LOADED"
