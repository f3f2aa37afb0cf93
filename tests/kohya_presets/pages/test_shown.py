from __future__ import annotations

import pytest

from kohya_presets.pages.shown import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("korra, in a field", "korra, in a field"),
        ("\u202eevil", "\u2039U+202E\u203aevil"),
        ("\x1b[31m", "\u2039U+001B\u203a[31m"),
        ("a\u2028b", "a\u2039U+2028\u203ab"),
        ("\ufeffkorra", "\u2039U+FEFF\u203akorra"),
        ("zero\u200bwidth", "zero\u2039U+200B\u203awidth"),
        ("lone \ud800", "lone \u2039U+D800\u203a"),
        ("byte \udcff", "byte \u2039byte FF\u203a"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f680",  # a woman and a rocket: an astronaut
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
        "\u5973\u306e\u5b50, caf\u00e9\ttab\nline",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England's flag
    ],
)
def test_writing_of_all_kinds_stays_as_it_is(text: str) -> None:
    assert visible(text) == text
