"""The facts about options: how they are gathered, and that they are those of the real sources.

KP_SD_SCRIPTS_SOURCES names a folder that holds the releases, each in a folder named after its tag.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kohya_presets import options, releases
from tools import make_options
from tools.read_parser import Unreadable
from tools.read_parser import options as read

SOURCES = "KP_SD_SCRIPTS_SOURCES"
COUNTS = {  # of options in each of make_options.SCRIPTS
    release: counts
    for releases_alike, counts in (
        ("v0.7.0", [122, 135, 11, 8]),
        ("v0.7.1", [132, 143, 13, 8]),
        ("v0.8.0 v0.8.1", [134, 145, 13, 8]),
        ("v0.8.2 v0.8.3", [135, 146, 16, 8]),
        ("v0.8.4 v0.8.5", [139, 150, 16, 9]),
        ("v0.8.6 v0.8.7 v0.8.8", [159, 170, 16, 9]),
        ("v0.9.0 v0.9.1", [167, 180, 16, 9]),
        ("v0.10.0 v0.10.1", [176, 196, 16, 9]),
        ("v0.10.2 v0.10.3", [177, 197, 16, 10]),
        ("v0.10.4 v0.10.5 v0.10.6 v0.11.0 v0.11.1", [178, 198, 16, 10]),
    )
    for release in releases_alike.split()
}
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
    DB_SUBSET_DISTINCT_SCHEMA = {Required("image_dir"): str}
    DATASET_ASCENDABLE_SCHEMA = {"batch_size": int}
"""


def sources(release: str) -> Path:
    folder = os.environ.get(SOURCES)
    if not folder:
        pytest.skip(f"{SOURCES} names no folder of sd-scripts' releases")
    if not (Path(folder) / release).is_dir():
        pytest.skip(f"{SOURCES} has no folder {release}")
    return Path(folder) / release


def schema(folder: Path, text: str = SCHEMA) -> Path:
    (folder / "library").mkdir(parents=True)
    (folder / "library/config_util.py").write_text(text, "utf-8")
    return folder


def test_every_release_has_its_counts() -> None:
    assert set(COUNTS) == set(releases.tags())


@pytest.mark.parametrize("release", COUNTS)
def test_the_number_of_options_is_that_of_the_real_parsers(release: str) -> None:
    folder = sources(release)
    assert [len(read(folder, script)) for script in make_options.SCRIPTS] == COUNTS[release]


def test_the_facts_are_what_the_tool_writes_today() -> None:
    facts = make_options.gathered([sources(release) for release in COUNTS])
    assert make_options.written(facts) == options.FACTS.read_text("utf-8")


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


def test_dataset_keys_know_their_level(tmp_path: Path) -> None:
    assert make_options.dataset(schema(tmp_path / "v1")) == {
        "num_repeats": {"type": "int", "level": "subset"},
        "rate": {"type": "float", "level": "subset"},
        "caption_extension": {"type": "str", "level": "subset"},
        "image_dir": {"type": "str", "level": "subset"},
        "batch_size": {"type": "int", "level": "dataset"},
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("DB_SUBSET_DISTINCT_SCHEMA", "RENAMED_SCHEMA"),
        ('"batch_size": int', '"batch_size": bytes'),
        ('"batch_size": int', "**more"),
    ],
)
def test_a_schema_that_cannot_be_read_is_an_error(before: str, after: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        make_options.dataset(schema(tmp_path / "v1", SCHEMA.replace(before, after)))


def test_a_choice_that_came_later_knows_its_release() -> None:
    def release(*choices: object) -> make_options.Facts:
        return {"kind": {"type": "str", "choices": list(choices)}}

    by_release = [("v1", release("a")), ("v2", release("a", "b")), ("v3", release("a", "b", 3))]
    assert make_options.merged(by_release) == {
        "kind": {
            "type": "str",
            "choices": ["a", "b", 3],
            "since": "v1",
            "choices_since": {"b": "v2", "3": "v3"},
        }
    }


def test_facts_are_not_emptied_for_want_of_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["make_options"])
    monkeypatch.setattr(releases, "FACTS", tmp_path)
    with pytest.raises(SystemExit):
        make_options.main()
    assert not list(tmp_path.glob("*.json*"))


def test_the_file_is_written_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders = [str(sources(release)) for release in ("v0.10.1", "v0.7.1")]
    monkeypatch.setattr("sys.argv", ["make_options", *folders])
    monkeypatch.setattr(releases, "FACTS", tmp_path)
    make_options.main()
    (file,) = tmp_path.glob("*.json*")
    assert file.name == "options.json"
    assert '"learning_rate": {"type": "float", "default": 2e-06, "since": "v0.7.1"}' in (
        file.read_text("utf-8")
    )
