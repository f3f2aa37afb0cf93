"""The facts about the Kohya GUI: how they are read from its sources."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kohya_presets.gui.versions import fields
from tools.gui import make, read_gui, rules
from tools.read_parser import Unreadable

CONFIG = """\
import gradio as gr
class Basic:
    def __init__(self, config={}, kinds=["a", "b"]):
        self.rate = gr.Number(value=config.get("basic.rate", 1e-5))
        self.kind = gr.Radio(kinds, value="a")
def save_configuration(save_as_bool, file_path, rate, kind, steps, sdxl_checkbox):
    pass
def train_model(headless, print_only, rate, kind, steps, sdxl_checkbox, flux1_checkbox):
    half = sdxl_checkbox and kind
    config_toml_data = {
        "learning_rate": rate,
        "the_kind": half,
        "sdpa": True if kind == "sdpa" else None,
        "flux": rate if flux1_checkbox else None,
        "max_steps": int(steps) if int(steps) != 0 else None,
        "args": str(kind).replace('"', "").split(),
        LINE
    }
    config_toml_data = {k: v for k, v in config_toml_data.items() if v not in ["", False, None]}
def TAB_tab():
    basic = Basic(kinds=["x", "y"])
    steps = gr.Slider(value=7)
    settings_list = [basic.rate, basic.kind, steps, gr.Checkbox()]
"""
COMMAND = """\
import gradio as gr
def save_configuration(save_as, file_path, rate, kind, flip, noise_offset_type, noise_offset):
    pass
def train_model(headless, print_only, rate, kind, flip, noise_offset_type, noise_offset):
    run_cmd = f'accelerate launch --threads={kind}'
    run_cmd += f' --learning_rate="{rate}"'
    run_cmd += run_cmd_advanced_training(kind=kind, flip=flip, additional_parameters=kind,
        noise_offset=noise_offset, noise_offset_type=noise_offset_type)
def TAB_tab():
    settings_list = [gr.Number(), gr.Textbox(), gr.Checkbox(), gr.Textbox(), gr.Number()]
"""
COMMON = """\
def update_my_data(my_data):
    for key in ["steps"]:
        value = my_data.get(key)
        my_data[key] = int(value)
    for key in ["rate"]:
        my_data[key] = float(value)
def run_cmd_advanced_training(**kwargs):
    run_cmd = f' {kwargs["additional_parameters"]}'
    run_cmd += f' {additional_parameters}'
    kind = int(kwargs.get("kind", 1))
    if kind > 1:
        run_cmd += f' --bucket_reso_steps={kind}'
    if kwargs.get("flip"):
        run_cmd += ' --flip'
    if kwargs["noise_offset_type"] == "Original":
        run_cmd += f' --noise={kwargs["noise_offset"]}'
    else:
        run_cmd += f' --iterations={kwargs["noise_offset"]}'
    return run_cmd
"""


def source(folder: Path, text: str, line: str = "") -> Path:
    """Write a version of the GUI whose two tabs read like `text`."""
    (folder / "kohya_gui").mkdir(parents=True)
    for tab in read_gui.TABS:
        own = text.replace("TAB", tab).replace("LINE", line)
        (folder / "kohya_gui" / f"{tab}_gui.py").write_text(own, "utf-8")
    (folder / "kohya_gui" / "common_gui.py").write_text(COMMON, "utf-8")
    return folder


def test_the_table_of_options_is_read_as_for_sdxl(tmp_path: Path) -> None:
    gui = read_gui.Gui(source(tmp_path / "v1", CONFIG))
    found = rules.rules(gui, "finetune")
    found.pop("max_data_loader_n_workers")
    assert found == {
        "learning_rate": ["rate", "as"],
        "the_kind": ["kind", "as"],
        "sdpa": ["kind", "is:sdpa"],
        "max_steps": ["steps", "int,set"],
        "args": ["kind", "words"],
    }


def test_widgets_say_kind_default_and_choices(tmp_path: Path) -> None:
    gui = read_gui.Gui(source(tmp_path / "v1", CONFIG))
    assert read_gui.fields(gui, "finetune") == {
        "rate": {"kind": "number", "default": 1e-5},
        "kind": {"kind": "choice", "default": "a", "choices": ["x", "y"]},
        "steps": {"kind": "number", "default": 7},
        "sdxl_checkbox": {"kind": "text"},
    }


@pytest.mark.parametrize("line", ['"x": rate + 1', '"x": rate if kind < 3 else None', '"x": f()'])
def test_a_form_that_is_not_known_is_an_error(line: str, tmp_path: Path) -> None:
    gui = read_gui.Gui(source(tmp_path / "v1", CONFIG, line))
    with pytest.raises(Unreadable):
        rules.rules(gui, "finetune")


def test_a_list_of_widgets_of_another_length_is_an_error(tmp_path: Path) -> None:
    gui = read_gui.Gui(source(tmp_path / "v1", CONFIG.replace("steps, gr.Checkbox()", "steps")))
    with pytest.raises(Unreadable):
        read_gui.fields(gui, "finetune")


def test_a_command_line_is_read_piece_by_piece(tmp_path: Path) -> None:
    gui = read_gui.Gui(source(tmp_path / "v1", COMMAND))
    assert rules.rules(gui, "finetune") == {
        "threads": ["kind", "as"],
        "learning_rate": ["rate", "as"],
        "bucket_reso_steps": ["kind", "int,above:1"],
        "flip": ["flip", "flag"],
        "noise": ["noise_offset", "as", "noise_offset_type=Original"],
        "iterations": ["noise_offset", "as", "noise_offset_type=Multires"],
    }


def test_facts_are_told_as_changes(tmp_path: Path) -> None:
    first = source(tmp_path / "v22.0.0", COMMAND)
    facts = make.gathered([source(tmp_path / "v24.0.0", CONFIG), first])
    assert list(facts["finetune"]) == ["v22.0.0", "v24.0.0"]
    assert facts["finetune"]["v24.0.0"]["options"]["flip"] is None
    assert facts["finetune"]["v22.0.0"]["ways"] == {"left out": "nothing", "whole": ["steps"]}
    assert facts["finetune"]["v24.0.0"]["ways"] == {"left out": "zero"}
    assert facts["extra_first"] == ["v22.0.0", "v24.0.0"]
    assert json.loads(make.written(facts)) == facts


def test_the_file_is_written_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = source(tmp_path / "v24.0.0", CONFIG)
    monkeypatch.setattr("sys.argv", ["make", str(folder)])
    monkeypatch.setattr(fields, "FACTS", tmp_path / "facts.json")
    make.main()
    assert json.loads((tmp_path / "facts.json").read_text("utf-8"))["finetune"]
