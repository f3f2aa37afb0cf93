from __future__ import annotations

import pytest

from kohya_presets.errors import UserError
from wrapper.system import names


@pytest.mark.parametrize(
    "name",
    [
        *("a/b", "a\\b", "/../x", "..", ".", "", "   ", "a:b", 'a"b', "a?", "a*", "<a>", "a|b"),
        *("NUL", "con", "Con.txt", "aux.tar.gz", "COM1", "lpt9", "COM¹", "CONOUT$", "nul .x"),
        *(
            "-r\nf",
            "-rf",
            "--runs",
            "a\n",
            "a\rb",
            "a\tb",
            "a\x00b",
            "a\x7fb",
            "a\x85b",
            "a\u2028b",
        ),
        *("a\u2028b", "a.", "a ", " a", "a\u3000", ".hidden", "half \ud800", "x" * 151, "東" * 51),
    ],
)
def test_a_name_must_be_one_for_files_everywhere(name: str) -> None:
    with pytest.raises(UserError, match="cannot be used as a file name: ") as caught:
        names.usable(name)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        *("Korra (épisode 東京) v1.2", "a-b", "null", "console", "com", "com10", "lpt", "x.con"),
        *("👩‍🎨 art", "日本　語", "a & b; c", "$HOME", "`x`", "x" * 150),
    ],
)
def test_other_names_are_free(name: str) -> None:
    assert names.usable(name) == name
