"""Any page is text whatever it is given, and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from kohya_presets.pages import page

HOSTILE = "</title><script>alert(1)</script>\u202e&quot;"
BODY = Markup("<p>ours</p>")


def policy(text: str) -> dict[str, str]:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert found
    rules = found[1].replace("&#39;", "'").split(";")
    return dict(rule.strip().split(" ", 1) for rule in rules)


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_is_text_whatever_it_is_called() -> None:
    made = page.page(HOSTILE, BODY, made_by="a test", lead=HOSTILE)
    assert "<script" not in made
    assert "\u202e" not in made
    assert made.count("\u2039U+202E\u203a") == 3  # title, heading, lead
    assert "<p>ours</p>" in made


def test_a_page_without_a_script_lets_none_run() -> None:
    made = page.page("a page", BODY, made_by="a test", style=".own { color: red }")
    rules = policy(made)
    (style,) = re.findall("<style>(.*?)</style>", made, re.DOTALL)
    assert style.endswith(".own { color: red }")
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == digest(style)
    assert "script-src" not in rules


def test_a_script_runs_by_its_hash_alone(tmp_path: Path) -> None:
    (tmp_path / "a.html.jinja").write_text(
        '{% extends "base.html.jinja" %}\n{% block content %}{{ said }}{% endblock %}\n', "utf-8"
    )
    made = page.render(tmp_path, "a.html.jinja", made_by="a test", script="1 < 2", said=HOSTILE)
    assert policy(made)["script-src"] == digest("1 < 2")
    assert made.count("<script>") == 1
    assert "<script>1 < 2</script>" in made


def test_a_value_that_a_template_misses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.html.jinja").write_text("{{ missing }}", "utf-8")
    with pytest.raises(UndefinedError):
        page.render(tmp_path, "a.html.jinja", made_by="a test")


@pytest.mark.parametrize("text", [HOSTILE, "]]>", "\ud800", "<!--", "\u2028"])
def test_json_in_a_script_ends_nothing_and_is_read_back(text: str) -> None:
    written = page.as_json({"text": text})
    assert not set(written) & set("<>&\u2028\u202e")
    assert json.loads(written) == {"text": text}


def test_parts_escape_what_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "a.html.jinja").write_text(
        '{% import "parts.html.jinja" as part %}{{ part.table([a, a], [[a, a]], a) }}'
        "{{ part.facts([(a, a)]) }}{{ part.nothing(a) }}",
        "utf-8",
    )
    made = page.render(tmp_path, "a.html.jinja", made_by="a test", a=HOSTILE)
    assert "<script" not in made
    assert made.count("&lt;script&gt;") == 9
