"""Run by a Python with playwright: open a dataset's page as a person does; tell what was seen.

python sheet_page.py CHROMIUM PAGE PICTURES...      PICTURES: a folder for screenshots and the PDF
"""

from __future__ import annotations

import http.server
import json
import sys
import threading
from pathlib import Path
from typing import Any

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
# How many pictures are larger than their frames, or shown in another shape than their own.
CUT_OFF = """frames => [...document.querySelectorAll(frames)].filter(frame => {
    const [image, outer] = [frame.querySelector('img'), frame.getBoundingClientRect()];
    const inner = image.getBoundingClientRect();
    return inner.width > outer.width + 1 || inner.height > outer.height + 1
        || getComputedStyle(image).objectFit !== 'contain';
}).length"""
SIZES = {"desktop": (1400, 1000), "phone": (390, 844)}


def look(chromium: str, address: str, pictures: Path) -> dict[str, Any]:
    """Return what a person sees and does at each size."""
    from playwright.sync_api import sync_playwright

    told: dict[str, Any] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name, (width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            asked: list[str] = []
            wrong: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url[:60]))
            page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
            page.on("console", lambda said, wrong=wrong: wrong.append(said.text))
            page.on("dialog", lambda box, wrong=wrong: (wrong.append(box.message), box.dismiss()))
            page.goto(address)
            page.screenshot(path=pictures / f"{name}.png")
            told[name] = _used(page)
            page.screenshot(path=pictures / f"{name}-enlarged.png")
            told[name] |= {"asked": [*asked], "wrong": [*wrong], "title": page.title()}
            told[name]["let out"] = _let_out(page)
            if name == "desktop":
                page.keyboard.press("Escape")
                page.pdf(path=pictures / "page.pdf", print_background=True)
            page.close()
        browser.close()
    return told


def _used(page: Any) -> dict[str, Any]:
    """Use every control, by the mouse and by the keyboard; leave one image enlarged."""
    told: dict[str, Any] = {"at first": _names(page)}
    told["cut off"] = page.evaluate(CUT_OFF, ".picture")
    told["too wide"] = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    for control in ("finding", "bucket"):
        for value in _values(page, control):
            page.select_option(f"#{control}", value)
            told[f"{control} {value}"] = _names(page)
        page.select_option(f"#{control}", "")
    for value in _values(page, "sort"):
        page.select_option("#sort", value)
        told[f"sort {value}"] = _names(page)
    page.click("#turn")
    told["reversed"] = _names(page)
    page.click("#reset")
    told["after reset"] = _names(page)
    return told | _typed(page)


def _typed(page: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    press = page.keyboard.press
    press("/")
    page.keyboard.type("image 1")
    told["search"] = _names(page)
    told["count"] = page.inner_text("#count")
    press("Escape")
    told["search left"] = _names(page)
    press("Escape")
    told["focus"] = [_focus(page)]
    told["focus is seen"] = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "End", "Home"):
        press(key)
        told["focus"].append(_focus(page))
    press("Enter")
    told["enlarged"] = [page.inner_text("#one h2")]
    told["cut off, enlarged"] = page.evaluate(CUT_OFF, "#one .frame")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        press(key)
        told["enlarged"].append(page.inner_text("#one h2"))
    press("Escape")
    page.wait_for_timeout(200)  # the browser tells of it a moment later
    told["closed"] = not page.evaluate("document.getElementById('large').open")
    told["focus after"] = _focus(page)
    press("Enter")
    return told


def _values(page: Any, control: str) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        f"#{control} option", "options => options.map(option => option.value)"
    )
    return found


def _names(page: Any) -> list[str]:
    """Return the names of the images that are shown, in their order."""
    found: list[str] = page.eval_on_selector_all(
        ".card",
        "cards => cards.filter(card => card.checkVisibility())"
        ".map(card => card.querySelector('h2').textContent)",
    )
    return found


def _focus(page: Any) -> str | None:
    code = "document.activeElement.closest('.card')?.querySelector('h2').textContent"
    found: str | None = page.evaluate(code)
    return found


TRIES = """async (there) => {
    const ways = {
        fetch: () => fetch(there + 'fetch', { mode: 'no-cors' }),
        beacon: () => {
            navigator.sendBeacon(there + 'beacon');
            throw 'asks the server';
        },
        image: () => new Promise((done, failed) => {
            const image = new Image();
            image.onload = done;
            image.onerror = failed;
            image.src = there + 'image';
        }),
        frame: () => {
            const frame = document.createElement('iframe');
            frame.src = there + 'frame';
            document.body.append(frame);
            throw 'asks the server';
        },
        form: () => {
            const form = document.createElement('form');
            form.action = there + 'form';
            document.body.append(form);
            form.submit();
            throw 'asks the server';
        },
        style: () => {
            const style = document.createElement('style');
            style.textContent = 'body { background: url(' + there + 'style) }';
            document.head.append(style);
            if (getComputedStyle(document.body).backgroundImage === 'none') throw 'no';
        },
        script: () => {
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.body.append(script);
            if (!window.ran) throw 'no';
        },
        handler: () => {
            const button = document.createElement('button');
            button.setAttribute('onclick', 'window.clicked = true');
            document.body.append(button);
            button.click();
            if (!window.clicked) throw 'no';
        },
    };
    const out = [];
    for (const [name, way] of Object.entries(ways)) {
        try { await way(); out.push(name); } catch { /* as it should be */ }
    }
    return out;
}"""


def _let_out(page: Any) -> list[str]:
    """Return the ways by which something could run in the page or leave it, all tried."""
    reached: list[str] = []

    class Listening(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found: list[str] = page.evaluate(TRIES, f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_timeout(500)
        server.shutdown()
    return [*found, *reached]


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
