"""The facts about options: how they are gathered and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kohya_presets.sdscripts import releases
from tools import make_options
from tools.read_parser import Unreadable
from tools.read_parser import options as read

TRAIN = """\
import argparse
def add_more(parser):
    parser.add_argument("--more", type=int)
def setup_parser():
    parser = argparse.ArgumentParser()
    group = parser.add_argument_group("others")
    group.add_argument("--kind", choices=["a", "b"])
    {line}
    return parser
"""
SCHEMA = """\
class ConfigSanitizer:
    SUBSET_ASCENDABLE_SCHEMA = {"num_repeats": int, "rate": Any(float, int)}
    DO_SUBSET_ASCENDABLE_SCHEMA = {}
    DB_SUBSET_ASCENDABLE_SCHEMA = {"caption_extension": str}
    CN_SUBSET_ASCENDABLE_SCHEMA = {"caption_extension": str}
    DB_SUBSET_DISTINCT_SCHEMA = {Required("image_dir"): str}
    FT_SUBSET_DISTINCT_SCHEMA = {Required("metadata_file"): str, "image_dir": str}
    CN_SUBSET_DISTINCT_SCHEMA = {Required("image_dir"): str}
    DATASET_ASCENDABLE_SCHEMA = {"batch_size": int}
"""


def schema(folder: Path, text: str = SCHEMA) -> Path:
    (folder / "library").mkdir(parents=True)
    (folder / "library/config_util.py").write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "parser = add_more(parser)",
        "kept = parser.add_argument('--kept')",
        "parser.add_argument('--kept').completer = None",
        "return add_more(parser)",
        "parser.set_defaults(more=1)",
        "parser.add_argument('positional')",
        "parser.add_argument('-s')",
        "parser.add_argument(f'--{add_more}')",
        "parser.add_argument('--x', dest=add_more)",
        "parser.add_argument('--x', default=add_more)",
    ],
)
def test_an_option_is_never_lost_in_silence(line: str, tmp_path: Path) -> None:
    (tmp_path / "sdxl_train.py").write_text(TRAIN.format(line=line), "utf-8")
    with pytest.raises(Unreadable):
        read(tmp_path, "sdxl_train.py")


def test_groups_and_functions_of_the_same_file_are_followed(tmp_path: Path) -> None:
    (tmp_path / "sdxl_train.py").write_text(TRAIN.format(line="add_more(parser)"), "utf-8")
    assert [option.name for option in read(tmp_path, "sdxl_train.py")] == ["kind", "more"]


def test_dataset_keys_know_their_levels_and_subsets(tmp_path: Path) -> None:
    found = make_options.dataset(schema(tmp_path / "v1"))
    anywhere, every = ["general", "dataset", "subset"], ["images", "metadata", "conditioning"]
    assert found == {
        "num_repeats": {"type": "int", "levels": anywhere, "subsets": every},
        "rate": {"type": "float", "levels": anywhere, "subsets": every},
        "caption_extension": {
            "type": "str",
            "levels": anywhere,
            "subsets": ["images", "conditioning"],
        },
        "image_dir": {
            "type": "str",
            "levels": ["subset"],
            "subsets": every,
            "required": ["images", "conditioning"],
        },
        "metadata_file": {
            "type": "str",
            "levels": ["subset"],
            "subsets": ["metadata"],
            "required": ["metadata"],
        },
        "batch_size": {"type": "int", "levels": ["general", "dataset"], "subsets": every},
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("DB_SUBSET_DISTINCT_SCHEMA", "RENAMED_SCHEMA"),
        ('"batch_size": int', '"batch_size": bytes'),
        ('"batch_size": int', "**more"),
        ('"batch_size": int', '"num_repeats": str'),
    ],
)
def test_a_schema_that_cannot_be_read_is_an_error(before: str, after: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        make_options.dataset(schema(tmp_path / "v1", SCHEMA.replace(before, after)))


def test_only_changes_are_kept_and_what_is_gone_is_told() -> None:
    was = {"a": {"type": "int"}, "b": {"type": "int"}, "c": {"type": "str"}}
    now = {"a": {"type": "int"}, "b": {"type": "float"}, "d": {"type": "str"}}
    assert make_options.changes(was, now) == {
        "b": {"type": "float"},
        "d": {"type": "str"},
        "c": None,
    }


def source(folder: Path, *names: str) -> Path:
    """Write a source whose four scripts have the options `names`."""
    schema(folder)
    (folder / "networks").mkdir()
    for script in make_options.SCRIPTS:
        lines = "".join(f"    parser.add_argument('--{name}', type=int)\n" for name in names)
        text = f"def setup_parser():\n    parser = ArgumentParser()\n{lines}    return parser\n"
        (folder / script).write_text(text, "utf-8")
    return folder


def test_a_commit_between_two_follows_the_release_it_is_nearest_to(tmp_path: Path) -> None:
    pin = releases.between()[-1].name
    facts = make_options.gathered(
        [
            source(tmp_path / pin, "a", "b", "d"),
            source(tmp_path / "v0.9.1", "a", "b", "c"),
            source(tmp_path / "v0.9.0", "a", "b"),
        ]
    )
    assert facts["after"] == {"v0.9.0": None, "v0.9.1": "v0.9.0", pin: "v0.9.0"}
    assert facts["sdxl_train.py"]["v0.9.1"] == {"c": {"type": "int"}}
    assert facts["sdxl_train.py"][pin] == {"d": {"type": "int"}}
    assert facts["dataset"]["v0.9.1"] == {}


def test_a_folder_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="named after no known release"):
        make_options.gathered([source(tmp_path / "v0.9.1"), source(tmp_path / "mine")])


def test_the_file_is_written_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = source(tmp_path / "v0.9.1", "a")
    (tmp_path / "facts").mkdir()
    monkeypatch.setattr("sys.argv", ["make_options", str(folder)])
    monkeypatch.setattr(releases, "FACTS", tmp_path / "facts")
    make_options.main()
    (file,) = (tmp_path / "facts").iterdir()
    assert file.name == "options.json"
    assert json.loads(file.read_text("utf-8"))["sdxl_train.py"] == {
        "v0.9.1": {"a": {"type": "int"}}
    }
