from __future__ import annotations

from tools import make_checks


def test_the_page_is_what_the_checks_say() -> None:
    assert make_checks.PAGE.read_text("utf-8") == make_checks.page(), "python -m tools.make_checks"
