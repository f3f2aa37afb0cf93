"""The page of rules is what the rules say today."""

from __future__ import annotations

from tools import make_rules


def test_the_page_is_up_to_date() -> None:
    assert make_rules.PAGE.read_text("utf-8") == make_rules.page(), "python -m tools.make_rules"
