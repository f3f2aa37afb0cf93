"""Our facts about options are those of the real parsers, imported and asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.sdscripts import options, releases
from tests import missing
from tests.upstream import asking
from tests.usually import usually
from tools import make_options
from wrapper.checkouts.checkout import Checkout

ENVIRONMENT = "v0.10.1"  # every release's parsers can be imported in it
USUAL = ("v0.10.1",)
COMMITS = tuple(commit for known in releases.between() for commit in known.commits)
# What upstream's own scripts say of themselves, as `_entry` of our tool writes it.
ASK = """
import importlib
# v0.7.0's textual inversion imports it, without a use of it in its parser.
sys.modules.setdefault("open_clip", type(sys)("open_clip"))

def told(action):
    usual = type(action).__name__ == "_StoreAction"
    fact = {
        "type": action.type and action.type.__name__,
        "choices": action.choices and list(action.choices),
        "default": action.default if usual else None,
        "nargs": action.nargs if usual else None,
        "action": None if usual else {"_StoreTrueAction": "store_true"}[type(action).__name__],
        "required": action.required or None,
    }
    return {name: value for name, value in fact.items() if value not in (None, False)}

found = {}
for script in sys.argv[1:]:
    parser = importlib.import_module(script[:-3].replace("/", ".")).setup_parser()
    found[script] = {a.dest: told(a) for a in parser._actions if a.dest != "help"}
from library.config_util import ConfigSanitizer
sanitizer = ConfigSanitizer(True, True, True, True)
names = lambda schema: sorted(str(key) for key in schema if key != "subsets")
found["dataset"] = {
    "general": names(sanitizer.general_schema),
    **{f"dataset {kind}": names(getattr(sanitizer, f"{kind}_dataset_schema")) for kind in KINDS},
    **{f"subset {kind}": names(getattr(sanitizer, f"{kind}_subset_schema")) for kind in KINDS},
}
tell(found)
""".replace("KINDS", '("db", "ft", "cn")')
KINDS = {"db": "images", "ft": "metadata", "cn": "conditioning"}

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]


@pytest.fixture
def told(upstream: Callable[[str], Checkout], tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Return a function that asks the real parsers of a release or commit."""

    def ask(name: str) -> dict[str, Any]:
        with missing.skipped_without(missing.SD_SCRIPTS):
            folder = make_options.fetch(name, tmp_path / "sources")
        scripts = [s for s in options.SCRIPTS if (folder / s).is_file()]
        found: dict[str, Any] = asking.ask(upstream(ENVIRONMENT), ASK, *scripts, sources=folder)
        return found

    return ask


def facts(part: str, source: str) -> dict[str, Any]:
    """Return the facts of one source as the file has them, its changes laid on those before."""
    every = json.loads(options.FACTS.read_text("utf-8"))
    if other := make_options.KIN.get(part):
        told = next((every[part][at] for at in line(every, source) if at in every[part]), None)
        known = {**facts(other, source), **told} if told is not None else {}
        return {name: fact for name, fact in known.items() if fact is not None}
    before = every["after"][source]
    known = facts(part, before) if before else {}
    known |= every[part].get(source, {})
    return {name: fact for name, fact in known.items() if fact is not None}


def line(every: dict[str, Any], source: str | None) -> Iterator[str]:
    """Yield a source and those before it."""
    while source:
        yield source
        source = every["after"][source]


@pytest.mark.parametrize("name", usually([*options.releases(), *COMMITS], USUAL))
def test_the_facts_are_what_the_real_parsers_say(
    name: str, told: Callable[[str], dict[str, Any]]
) -> None:
    found = told(name)
    source = next((b.name for b in releases.between() if name in b.commits), name)
    for script in options.SCRIPTS:
        assert found.get(script, {}) == facts(script, source)
        known = options.of(script, source)
        assert known.keys() == found.get(script, {}).keys()
    dataset = options.dataset(source).values()
    assert found["dataset"]["general"] == sorted(o.name for o in dataset if "general" in o.levels)
    for kind, subset in KINDS.items():
        for level in ("dataset", "subset"):
            known = [o.name for o in dataset if level in o.levels and subset in o.subsets]
            assert found["dataset"][f"{level} {kind}"] == sorted(known), (level, kind)


@pytest.mark.every_release
def test_the_file_is_what_the_tool_writes_today(tmp_path: Path) -> None:
    with missing.skipped_without(missing.SD_SCRIPTS):
        text = make_options.written(make_options.gathered(make_options.fetched(tmp_path)))
    assert text == options.FACTS.read_text("utf-8")
