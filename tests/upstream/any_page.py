"""Run by a Python with playwright: open a page at each size and in each scheme; tell what is seen.

python any_page.py CHROMIUM PAGE PICTURES [AXE]     PICTURES: a folder for screenshots and the PDF

AXE is axe-core's script, which looks for what people cannot read or reach.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sheet_page import FLAGS, SIZES, _let_out  # type: ignore[import-not-found, unused-ignore]

WAYS = (("desktop", "light"), ("desktop", "dark"), ("phone", "light"))
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
TOO_WIDE = "document.documentElement.scrollWidth > innerWidth"
PICTURES = "[...document.images].filter(image => !image.naturalWidth).length"


def look(chromium: str, address: str, pictures: Path, axe: str | None) -> dict[str, Any]:
    """Return what is seen in each way."""
    from playwright.sync_api import sync_playwright

    told: dict[str, Any] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for size, scheme in WAYS:
            width, height = SIZES[size]
            name = f"{size}-{scheme}"
            view = {"width": width, "height": height}
            context = browser.new_context(viewport=view, color_scheme=scheme)
            page = context.new_page()
            asked: list[str] = []
            wrong: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url[:60]))
            page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
            page.on("console", lambda said, wrong=wrong: wrong.append(said.text))
            page.on("dialog", lambda box, wrong=wrong: (wrong.append(box.message), box.dismiss()))
            page.goto(address)
            page.screenshot(path=pictures / f"{name}.png", full_page=True)
            told[name] = {
                "seconds": page.evaluate(LOADED) / 1000,
                "too wide": page.evaluate(TOO_WIDE),
                "broken pictures": page.evaluate(PICTURES),
                "title": page.title(),
                "asked": [*asked],
                "wrong": [*wrong],
            }
            if name == "desktop-light":
                page.pdf(path=pictures / "page.pdf", print_background=True, format="A4")
            told[name]["let out"] = _let_out(page)
            context.close()
            told[name]["axe"] = _checked(browser, address, view, scheme, axe) if axe else []
        browser.close()
    return told


def _checked(browser: Any, address: str, view: Any, scheme: str, axe: str) -> list[str]:
    """Return the serious findings of axe-core, which the page's policy would not let in."""
    context = browser.new_context(viewport=view, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(address)
    page.add_script_tag(path=axe)
    found = page.evaluate("axe.run()")["violations"]
    context.close()
    return [
        f"{one['impact']} {one['id']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1], sys.argv[2], Path(sys.argv[3]), (*sys.argv, None)[4])))
