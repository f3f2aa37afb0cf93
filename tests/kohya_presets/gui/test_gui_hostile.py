"""Files from strangers: a clear error or a preset that can be written, and never anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kohya_presets.errors import UserError
from kohya_presets.gui import notes, read
from kohya_presets.gui.toml_read import toml_file
from kohya_presets.gui.versions import fields
from kohya_presets.presets.preset import to_toml
from kohya_presets.sdscripts import options
from kohya_presets.toml import source as toml_source
from tests.sheets import ADDITIONS

START = b'{"sdxl_checkbox": true, "dataset_repeats": "1", '


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "expected JSON, found at line 1", id="empty"),
        pytest.param(b"learning_rate = 1", "expected JSON", id="no JSON"),
        pytest.param(b"[1, 2]", "expected a JSON object, found an array", id="array"),
        pytest.param(b'"x"', "expected a JSON object, found a string", id="string"),
        pytest.param(
            b"{}", "expected a file of the Kohya GUI, found these keys: none", id="no keys"
        ),
        pytest.param(b'{"a": 1}', "found these keys: 'a'", id="other keys"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="deep array"),
        pytest.param(START + b'"x": ' + b'{"a":' * 100_000, "nested too deeply", id="deep object"),
        pytest.param(START + b'"seed": NaN}', "the number NaN", id="NaN"),
        pytest.param(START + b'"seed": -Infinity}', "the number -Infinity", id="infinity"),
        pytest.param(START + b'"seed": ' + b"9" * 5000 + b"}", "expected JSON", id="huge integer"),
        pytest.param(b"\xff\xfe\x00", "expected UTF-8", id="half of UTF-16"),
        pytest.param(b'{"a": "\xe9"}', "expected UTF-8", id="Latin-1"),
        pytest.param(b" " * (50 * 1024 * 1024), "too large for a GUI file", id="50 MB"),
        pytest.param(b"\x00\x01\x02", "expected JSON", id="binary"),
    ],
)
def test_it_is_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read.json_file(data, "x", ADDITIONS)


# What every tab of v24.1.7 saves among others.
SHARED = {"max_resolution": "512,512", "lr_warmup": 10, "optimizer": "AdamW", "epoch": 1}
FOLDERS = {"train_data_dir": "d", "learning_rate_te": 1e-5, "model_list": "custom"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (SHARED | FOLDERS | {"sdxl": True}, "of the Kohya GUI's Dreambooth tab"),
        (SHARED | FOLDERS | {"sd3_checkbox": True}, "of the Kohya GUI's Dreambooth tab"),
        (SHARED | {"token_string": "a", "init_word": "b"}, "Kohya GUI's Textual Inversion tab"),
        (
            SHARED | {"network_dim": 4, "unet_lr": 1e-4, "prompts_file": "p"},
            "the Kohya GUI's LECO tab",
        ),
        ({"__version": 6, "training_method": "LORA"}, "this file is for OneTrainer"),
    ],
)
def test_a_file_is_told_whose_it_is(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        read.json_file(json.dumps(values).encode(), "x", ADDITIONS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_windows_editors_save_is_read(encoding: str) -> None:
    text = json.dumps({"sdxl_checkbox": True, "dataset_repeats": "2", "learning_rate": 1e-5})
    assert read.json_file(text.encode(encoding), "x", ADDITIONS).preset.dataset["num_repeats"] == 2


def test_huge_numbers_and_keys_like_paths_do_no_harm() -> None:
    data = START + b'"learning_rate": 1e999, "../../etc/passwd": "x", "seed": 1e300, "epoch": -5}'
    found = read.json_file(data, "../../x", ADDITIONS)
    assert found.preset.name == "x"
    assert "seed" not in found.preset.train
    assert found.preset.train["learning_rate"] == 2e-6  # sd-scripts' own, and told


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("learning_rate = [[[", id="no TOML"),
        pytest.param("x = 1\n", id="no option"),
        pytest.param("a = " + "[" * 5000, id="deep"),
        pytest.param("schema = 1\n[preset]\nname = 'x'\n", id="a preset"),
    ],
)
def test_a_toml_file_is_refused_with_the_reason(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(text, "utf-8")
    with pytest.raises(UserError):
        toml_file(tmp_path / "x.toml", "x", ADDITIONS)


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("NaN")
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
NAMES = sorted({n for tab in ("finetune", "lora") for n in fields.tab(tab, "v26.0.0").fields})
KEYS = st.one_of(
    st.sampled_from([*NAMES, notes.KEY, "use_wandb", "use_8bit_adam"]), st.text(max_size=12)
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=25), st.sampled_from(["sdxl", "sdxl_checkbox"]))
def test_any_object_is_refused_or_makes_a_file_that_reads_back(
    values: dict[str, Any], model: str
) -> None:
    text = json.dumps({**values, model: True})
    try:
        preset = read.json_file(text.encode(), "x", ADDITIONS).preset
    except UserError:
        return
    read_back = toml_source.parse(to_toml(preset)).values
    assert read_back["train"] == preset.train
    assert read_back["dataset"] == preset.dataset


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UserError):
        read.json_file(data, "x", ADDITIONS)


OPTIONS = sorted({*options.of("sdxl_train_network.py"), "architecture", "training_type"})
PLAIN = st.one_of(
    LEAVES, st.sampled_from(["lora", "sdxl", "1e-4", "/a/b", "a=1 b=/c", "", "64,64"])
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(OPTIONS), st.one_of(PLAIN, st.lists(PLAIN, max_size=3)), max_size=25
    )
)
def test_any_options_are_refused_or_make_a_file_that_reads_back(values: dict[str, Any]) -> None:
    words = {"optimizer_type": "Lion", "network_module": "networks.lora", **values}
    try:
        preset = read.json_file(json.dumps(words).encode(), "x", ADDITIONS).usable()
    except UserError:
        return
    read_back = toml_source.parse(to_toml(preset)).values
    assert read_back["train"] == preset.train
    assert read_back["dataset"] == preset.dataset
    assert "/a/b" not in json.dumps(preset.train)
