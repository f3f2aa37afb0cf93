"""Run by the Kohya GUI's own Python: serve its page, or press its buttons in a browser.

python gui_page.py serve kohya_gui.py OPTIONS...      in the GUI's folder
python gui_page.py press REQUEST.json
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
PATIENCE_SECONDS = 240  # a page of a thousand widgets, on a busy machine


def serve(script: str, *options: str) -> None:
    """Start the GUI as it is, but for gradio's own impatience.

    Where its first page takes more than 3 seconds, gradio takes the machine for unreachable.
    """
    from gradio import networking

    networking.url_ok = lambda url: True
    sys.argv = [script, *options]
    sys.path[0] = os.getcwd()  # noqa: PTH109
    runpy.run_path(script, run_name="__main__")


def press(request: dict[str, Any]) -> None:
    """Fill in a person's fields on the finetune tab, choose a preset, and have it printed."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * PATIENCE_SECONDS)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=request["chromium"], args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(1000 * PATIENCE_SECONDS)
        page.goto(request["url"], wait_until="domcontentloaded")
        page.get_by_role("tab", name="Finetuning", exact=True).click()
        for section in ("Parameters", "Folders"):
            page.locator("button.label-wrap:visible", has_text=section).first.click()
        for label, value in request["filled"].items():
            _field(page, label).fill(value)
            _field(page, label).press("Enter")
        page.wait_for_timeout(5000)  # it looks into the base model, and may untick SDXL
        page.locator("input[aria-label='Presets']:visible").click()
        page.get_by_role("option", name=request["preset"], exact=True).click()
        for label, value in request["shown"].items():
            expect(_field(page, label)).to_have_value(value)
        page.get_by_role("button", name="Print training command").locator("visible=true").click()
        _wait_for(Path(request["until"]))
        page.screenshot(path=request["picture"], full_page=True)
        browser.close()


def _field(page: Any, label: str) -> Any:
    """Return the visible text field whose label starts so."""
    boxes = f"input[aria-label^='{label}']:visible"
    plain = f"label:visible:has-text('{label}') >> css=input, textarea"
    found = page.locator(boxes)
    return found.first if found.count() else page.locator(plain).first


def _wait_for(file: Path) -> None:
    limit = time.monotonic() + 60
    while not file.is_file():
        if time.monotonic() > limit:
            raise TimeoutError(f"{file} was not written")
        time.sleep(0.2)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        press(json.loads(Path(sys.argv[2]).read_text("utf-8")))
