"""Our pages in a real browser: light, dark, on a phone and printed; nothing gets in or out."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.loras import curve
from kohya_presets.loras.told import curve_page
from tests import missing
from tests.conftest import UPSTREAM_HOME
from tests.kohya_presets.judging.made_runs import RIGHT
from tests.kohya_presets.loras import test_lora_curve as curves
from tests.upstream import gui_browser, own_environment
from tests.wrapper.data.page import sets
from tests.wrapper.evaluation import made_evaluations
from tests.wrapper.reports import made_runs, test_report_page
from wrapper.data.page import writing
from wrapper.evaluation import judged
from wrapper.evaluation.page import sheet as evaluations
from wrapper.reports import page
from wrapper.system import proc

DRIVER = Path(__file__).with_name("any_page.py")
AXE = "axe-core@4"  # MPL-2.0; it stays in the tests
OPENS_SECONDS = 1.0

pytestmark = [pytest.mark.upstream, pytest.mark.xdist_group("upstream")]


def long(folder: Path) -> Path:
    made_runs.long(folder / "korra")
    return page.write(folder / "korra", rate=1.9)


def hostile(folder: Path) -> Path:
    test_report_page.hostile(folder / "korra")
    return page.write(folder / "korra")


def ranks(folder: Path) -> Path:
    bad = test_report_page.BAD
    modules = (curves.module(curves.UNET, [64, 64], 2.0, 0.8), curves.module(curves.TE1, [8, 8], 1))
    made = curve.of(curves.measured(*modules))
    (folder / "rank.html").write_text(curve_page.page(made, bad, bad), "utf-8")
    return folder / "rank.html"


def sheet(folder: Path) -> Path:
    sets.hostile(folder / "set")
    writing.write(*sets.known(folder / "set", pixels=True), folder / "sheet.html")
    return folder / "sheet.html"


def evaluation(folder: Path) -> Path:
    hostile = made_evaluations.HOSTILE
    made = made_evaluations.evaluation(folder / "run", RIGHT, name="th<i>ng'", caption=hostile)
    return evaluations.write(judged.of(made))


def axe() -> Path | None:
    """Return axe-core's script, downloaded once with npm; None where it cannot be had."""
    folder = UPSTREAM_HOME / "browser" / "axe"
    script = folder / "package" / "axe.min.js"
    npm = shutil.which("npm")
    if not script.is_file() and npm:
        folder.mkdir(parents=True, exist_ok=True)
        proc.run([npm, "pack", AXE], cwd=folder, check=False)
        for packed in folder.glob("axe-core-*.tgz"):
            with tarfile.open(packed) as archive:
                (folder / "package").mkdir(exist_ok=True)
                content = archive.extractfile("package/axe.min.js")
                assert content is not None
                script.write_bytes(content.read())
    return script if script.is_file() else None


PAGES = [long, hostile, ranks, sheet, evaluation]


@pytest.mark.parametrize("make", PAGES, ids=lambda make: make.__name__)
def test_a_page_is_seen_by_everyone_and_asks_for_nothing(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    chromium = gui_browser.chromium()
    python = own_environment.python(UPSTREAM_HOME / "browser" / "environment", ("playwright",))
    with missing.skipped_without("axe-core"):
        script = axe()
    pictures = UPSTREAM_HOME / "browser" / make.__name__  # kept, to be looked at
    pictures.mkdir(parents=True, exist_ok=True)
    address = make(tmp_path).as_uri()
    done = proc.run([python, DRIVER, chromium, address, pictures, *([script] if script else [])])
    told: dict[str, Any] = json.loads(done.stdout)
    assert len(told) == 3
    for seen in told.values():
        assert [a for a in seen["asked"] if not a.startswith(("file:", "data:image/webp"))] == []
        assert seen["let out"] == []
        assert [said for said in seen["wrong"] if "Content Security Policy" not in said] == []
        assert not seen["too wide"]
        assert seen["broken pictures"] == 0
        assert seen["axe"] == []
        assert seen["seconds"] < OPENS_SECONDS
    assert (pictures / "page.pdf").read_bytes().startswith(b"%PDF")
    if script is None:
        pytest.skip("axe-core cannot be downloaded: all but accessibility was checked")
