from __future__ import annotations

import sys
from typing import Any

import pytest
import toml
from hypothesis import example, given
from hypothesis import strategies as st

from kohya_presets.toml import text as toml_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NASTY = "\\'\"ux0 nrtbäC:#=[],{}\t\n"
strings = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.text(NASTY, max_size=12))
plain = strings.filter(lambda s: not s.startswith('""'))
scalars = st.one_of(
    plain, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)
)


lists = st.one_of(
    st.lists(plain.filter(lambda s: "\\" not in s), max_size=4),
    st.lists(st.integers(0, 9), max_size=3),
)


@given(st.one_of(scalars, lists))
@example("C:\\Users\\new folder\\models")
@example("it's C:\\users\\'x'")
@example(["betas=0.9,0.99", "decouple=True", ",", "#]\"'"])
@example(1e-06)
def test_both_parsers_read_back_what_was_written(value: Any) -> None:
    text = f"key = {toml_text.value_text(value)}\n"
    assert tomllib.loads(text)["key"] == value
    assert toml.loads(text)["key"] == value


@given(st.lists(strings, max_size=4))
@example(["\\", ""])
@example([",", '"'])
@example(['""', "'"])
@example(['""\x1f'])
def test_a_list_that_would_be_misread_is_refused(value: list[str]) -> None:
    try:
        text = toml_text.value_text(value)
    except ValueError as error:
        # A string that is misread by itself is refused before the list is tried.
        alone = any(item.startswith('""') for item in value)
        kinds = ("misreads the list", *(("misreads the string",) if alone else ()))
        assert any(kind in str(error) for kind in kinds)  # noqa: PT017 - either outcome is right
        assert any("\\" in item or item.startswith('""') for item in value)
    else:
        assert toml.loads(f"key = {text}\n")["key"] == value


@given(strings)
@example('""\n')
@example('"",')
def test_a_string_is_read_back_or_refused(value: str) -> None:
    try:
        text = toml_text.value_text(value)
    except ValueError as error:
        assert "misreads the string" in str(error)  # noqa: PT017 - either outcome is right
        assert value.startswith('""')
    else:
        assert toml.loads(f"key = {text}\n")["key"] == value


def test_a_windows_path_stays_readable() -> None:
    assert toml_text.value_text("C:\\my models") == "'C:\\my models'"


def test_an_optimizer_argument_with_a_comma_stays_readable() -> None:
    assert toml_text.value_text(["betas=0.9,0.99"]) == '["betas=0.9,0.99"]'


@pytest.mark.parametrize("value", [None, object(), {"a": 1}])
def test_what_toml_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="TOML has no value"):
        toml_text.value_text(value)


def test_a_document_puts_loose_keys_first() -> None:
    text = toml_text.document({"train": {"learning_rate": 1e-6, "odd key": 1}}, top={"schema": 1})
    assert text == 'schema = 1\n\n[train]\nlearning_rate = 1e-06\n"odd key" = 1\n'
