"""A page from a template: one file that fetches nothing, whatever the texts in it say.

A template extends `base.html.jinja` and fills its blocks; what it is given is escaped, and what
cannot be seen in it is written out. Its own style comes after `base.css`. A script runs only by
its hash, so a page without one runs none.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kohya_presets.pages.shown import visible
from kohya_presets.problems import plural

TEMPLATES = Path(__file__).parent / "templates"


def page(title: str, body: Markup, *, made_by: str, lead: str = "", style: str = "") -> str:
    """Return a page with a heading and `body`, which is markup of ours and stands as it is.

    `made_by` is the command that made it, `lead` a sentence below the heading.
    """
    values = {"title": title, "lead": lead, "body": body}
    return render(TEMPLATES, "plain.html.jinja", made_by=made_by, style=style, **values)


def render(
    folder: Path, template: str, *, made_by: str, style: str = "", script: str = "", **values: Any
) -> str:
    """Return the page that a template in `folder` makes of the values.

    `style` (added to the base's) and `script` are texts of ours: they stand in it as they are.
    """
    styles = base_style() + style
    return (
        environment(folder)
        .get_template(template)
        .render(
            **values,
            made_by=made_by,
            policy=policy(styles, script),
            style=Markup(styles),  # ours
            script=Markup(script),
        )
    )


def policy(style: str, script: str = "") -> str:
    """Return a Content-Security-Policy that lets in this style and script, and pictures inside."""
    scripts = f" script-src '{_digest(script)}';" if script else ""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}';{scripts}"
        " base-uri 'none'; form-action 'none'"
    )


def as_json(values: Any) -> Markup:
    """Return JSON that can stand in a script element: no sign in it ends one, or a line."""
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def webp_url(webp: bytes) -> str:
    """Return a picture as an address that holds it, "" for none."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}" if webp else ""


@functools.cache
def base_style() -> str:
    """Return the style that all pages share."""
    return part(TEMPLATES / "base.css")


@functools.cache
def part(file: Path) -> str:
    """Return a style or script of ours."""
    return file.read_text("utf-8")


@functools.cache
def environment(folder: Path) -> Environment:
    """Return the environment for templates in `folder`, which may extend and import ours."""
    made = Environment(
        loader=FileSystemLoader([folder, TEMPLATES], "utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["plural"] = plural
    return made


def _shown(value: Any) -> Any:
    """Return a value as it is shown; markup is ours."""
    return visible(value) if type(value) is str else value


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}"
