from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.toml import source as toml_source

TEXT = """\
# a comment = with an equals sign
schema = 1

[train]
notes = \"\"\"
[not.a.table]
key = 1
\"\"\"
args = [
  "a=1",  # ]
  "b=[2",
]
learning_rate = 1e-6
"quoted key".sub = 'x # y'

[[datasets]]
a = 1
[[datasets]]
a = 2
"""


def test_every_statement_has_its_lines() -> None:
    found = [(".".join(s.key), s.line, s.end) for s in toml_source.statements(TEXT)]
    assert found == [
        ("schema", 2, 2),
        ("train", 4, 4),
        ("train.notes", 5, 8),
        ("train.args", 9, 12),
        ("train.learning_rate", 13, 13),
        ("train.quoted key.sub", 14, 14),
        ("datasets.0", 16, 16),
        ("datasets.0.a", 17, 17),
        ("datasets.1", 18, 18),
        ("datasets.1.a", 19, 19),
    ]


def test_each_duplicate_is_one_problem_and_the_first_value_counts() -> None:
    source = toml_source.parse("a = 1\n[t]\nb = 1\na = [\n 2]\nb = 2\n[t]\nc = 4\nb = 3\n")
    assert [(p.code, p.where.line, p.where.key) for p in source.problems] == [
        ("duplicate-key", 6, "t.b"),
        ("duplicate-key", 7, "t"),
        ("duplicate-key", 9, "t.b"),
    ]
    assert source.values == {"a": 1, "t": {"b": 1, "a": [2], "c": 4}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param('a = 1\nb = "C:\\models"\n', 2, id="backslash in a basic string"),
        pytest.param("a = 1\n\nb = skynet\n", 3, id="a string without quotes"),
        pytest.param("a = [1,\n", None, id="an array that never ends"),
        pytest.param("a = 1\n[train\nb = 1\n", 2, id="a header that never ends"),
    ],
)
def test_broken_toml_is_one_problem_with_its_line(text: str, line: int | None) -> None:
    (problem,) = toml_source.parse(text).problems
    assert problem.code == "toml-syntax"
    assert problem.where.line == line or (line is None and problem.where.line is None)


def test_a_file_from_windows_reads_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "voreinstellung ü.toml"
    file.write_bytes("\ufeff[train]\r\nlearning_rate = 1e-6\r\n".encode())
    source = toml_source.read(file)
    assert source.problems == ()
    assert source.values == {"train": {"learning_rate": 1e-6}}
    assert source.place("train", "learning_rate").line == 2
    assert source.place("train", "missing").line == 1


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "latin1.toml"
    file.write_bytes(b"a = 1\nb = '\xfc'\n")
    (problem,) = toml_source.read(file).problems
    assert (problem.code, problem.where.line) == ("not-utf8", 2)
