"""The author's words: read, completed, never changed."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from kohya_presets.cards import words, words_file
from kohya_presets.toml import source
from tests.kohya_presets.cards import made

TODAY = datetime.date(2026, 3, 4)


def codes(text: str) -> list[tuple[str, str]]:
    return [(p.code, p.severity) for p in words.problems(source.parse(text))]


def test_a_new_file_is_all_gaps_and_has_no_problem() -> None:
    text = words_file.new({"title": "korra"})
    assert codes(text) == []
    found = made.told(text)
    assert found.title == "korra"
    keys = [gap.key for gap in found.gaps]
    assert keys[:3] == ["description", "trigger", "recommended"]
    assert len(keys) == 3 + len(words.PERMISSIONS)


@pytest.mark.parametrize("title", ['"', "a\nb", "\\", "'''", "é\u202e", '"""', "# no"])
def test_a_known_text_of_any_kind_is_read_back(title: str) -> None:
    assert source.parse(words_file.new({"title": title})).values["title"] == title


def test_a_filled_file_has_no_gaps() -> None:
    found = made.told(made.FILLED)
    assert found.gaps == ()
    assert found.recommended == {"strength": "0.8 to 1.0", "steps": "30", "cfg_scale": "7.0"}
    assert found.permissions["sell_pictures"] is True
    assert "other_permissions_on_merges" not in found.permissions


def test_a_dash_leaves_out_and_is_no_gap() -> None:
    found = made.told('description = "-"\ntrigger = "-"\n[recommended]\nother = "-"\n')
    assert found.description == ""
    assert found.trigger == ()
    assert not [gap for gap in found.gaps if not gap.key.startswith("permissions")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("description = 3", []),
        ("description = true", [("card-value", "error")]),
        ("trigger = [1]", [("card-value", "error")]),
        ("[permissions]\nsell_model = 'no'", [("card-value", "error")]),
        ("[permissions]\nsell_model = '-'", []),
        ("recommended = 3", [("card-value", "error")]),
        ("versions = 3", [("card-value", "error")]),
        ("[[versions]]\nversion = true\nimages = 'x'", [("card-value", "error")]),
        ("descripton = 'x'", [("card-key", "warning")]),
        ("[recommended]\nstrenght = 1", [("card-key", "warning")]),
        ('notes = "hf_PlantedPlantedPlanted42"', [("card-secret", "error")]),
        ('[recommended]\nother = "https://a:pass@b.c"', [("card-secret", "error")]),
        ("format = 2", [("card-format", "error")]),
        ("title = ", [("toml-syntax", "error")]),
    ],
)
def test_what_is_wrong_is_said(text: str, expected: list[tuple[str, str]]) -> None:
    assert codes(text) == expected


def test_a_misspelled_key_is_told_with_its_line() -> None:
    (problem,) = words.problems(source.parse('title = "x"\n[recommended]\nstrenght = 1\n'))
    assert problem.where.line == 3
    assert "strength" in (problem.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        'title = "mine" # a comment\n',
        "# first\n[recommended]\nsteps = 3 # mine\n",
        '"""'.join(("trigger = ", "\n[x]\n# not a table\n", "\n[permissions]\nother = 'x'\n")),
        'title = "no line end"',
        "",
        "[permissions]\n\n# end",
        made.FILLED,
        "recommended = {steps = 3}\n",
    ],
)
def test_what_an_author_wrote_stays_byte_for_byte(text: str) -> None:
    completed = words_file.completed(text)
    before, after = source.parse(text), source.parse(completed)
    assert not after.problems
    for line in text.splitlines():
        assert line in completed
    for key, value in before.values.items():
        if isinstance(value, dict):
            assert value.items() <= after.values[key].items()
        else:
            assert after.values[key] == value
    assert words_file.completed(completed) == completed
    assert [g.key for g in made.told(completed).gaps] == [g.key for g in made.told(text).gaps]


def test_a_version_is_added_for_each_new_lora_once() -> None:
    first = words_file.with_version(words_file.new({}), made.RUN, TODAY)
    assert words_file.with_version(first, made.RUN, TODAY) == first
    other = replace(made.RUN, weights_sha256="ee" * 32, images=31, epoch=50)
    second = words_file.with_version(first, other, TODAY)
    assert second.startswith(first)
    found = made.told(second)
    assert [(v.version, v.changes) for v in found.versions] == [("1", words_file.FIRST), ("2", "")]
    assert found.gap("versions.2") is not None
    assert words_file.differences(*found.versions) == [
        "31 images instead of 20",
        "50 epochs instead of 40",
    ]
    assert words_file.with_version(second, made.RUN, TODAY) == second  # back to the first one


def test_a_version_of_the_authors_own_naming_is_kept() -> None:
    text = '[[versions]]\nversion = "1.5"\nlora = "aa"\nchanges = "x"\n'
    found = made.told(words_file.with_version(text, made.RUN, TODAY))
    assert [v.version for v in found.versions] == ["1.5", "2"]


def test_versions_that_are_written_otherwise_are_left_alone() -> None:
    text = 'versions = [{version = "1", changes = "x"}]\n'
    assert words_file.with_version(text, made.RUN, TODAY) == text
