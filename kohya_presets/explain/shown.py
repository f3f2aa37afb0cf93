"""An explanation as a person reads it, and as the values of JSON for a script."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from kohya_presets.explain.lookup import Entry, Explanation, PresetExplanation
from kohya_presets.explain.written import Text
from kohya_presets.presets.preset import PATHS, SETTINGS
from kohya_presets.problems import listed
from kohya_presets.sdscripts import options, releases
from kohya_presets.sdscripts.options import Option
from kohya_presets.toml import text as toml_text

WIDTH = 88


def text(found: Explanation | PresetExplanation) -> str:
    """Return `found` as text, its last line ended."""
    blocks = _preset(found) if isinstance(found, PresetExplanation) else _options(found)
    return "\n".join(blocks)


def values(found: Explanation | PresetExplanation) -> dict[str, Any]:
    """Return the same as a table for JSON, except a preset's date, which JSON has no type for."""
    if isinstance(found, PresetExplanation):
        reasons = [{"key": str(r.key), "value": r.value, "why": r.why} for r in found.reasons]
        return {"preset": dict(found.header), "settings": reasons}
    return {"options": list(map(_values, found.entries)), "conflicts": list(found.conflicts)}


def _options(found: Explanation) -> Iterator[str]:
    for entry in found.entries:
        yield f"{entry.key}\n" + "\n".join(_sections(entry))
    if found.conflicts:
        yield _titled("conflicts", found.conflicts, indent="")
    if found.namesake:
        told = f"A preset has this name too: kohya-presets explain {found.namesake}"
        yield _wrapped([told], indent="")


def _sections(entry: Entry) -> Iterator[str]:
    what = entry.text.what if entry.text else "No description yet, only facts."
    see = f" See {entry.text.see}." if entry.text and entry.text.see else ""
    yield _wrapped([what + see])
    if entry.text and not see:
        yield _titled("guide", _advice(entry.text), hanging=12)
    if entry.option:
        yield _titled("presets", _presets(entry))
        yield _titled("facts", _facts(entry, entry.option), hanging=10)


def _advice(text: Text) -> Iterator[str]:
    yield from (f"{date:<12}{said}" for date, said in text.guide)
    if not text.guide:
        yield "does not mention it"


def _presets(entry: Entry) -> Iterator[str]:
    """Yield "PRESET, PRESET: VALUE" for each value, and last the presets that set none."""
    told: dict[str, list[str]] = {}
    for name, value in sorted(entry.values.items(), key=lambda item: item[1] is None):
        shown = "not set" if value is None else toml_text.value_text(value)
        told.setdefault(shown, []).append(name)
    if list(told) == ["not set"]:
        yield "no shipped preset sets it"
    else:
        yield from (f"{', '.join(names)}: {shown}" for shown, names in told.items())


def _facts(entry: Entry, option: Option) -> Iterator[str]:
    yield f"type      {options.type_name(option.type)}"
    if option.choices:
        yield f"choices   {', '.join(map(str, option.choices))}"
    if entry.default is not None:
        yield f"default   {toml_text.value_text(entry.default)}"
    elif not entry.patch:
        yield "default   none"
    yield f"releases  {_releases(entry, option)}"
    yield f"place     {_place(entry, option)}"
    if entry.text and entry.text.gui:
        yield f"GUI       {', '.join(entry.text.gui)}"


def _releases(entry: Entry, option: Option) -> str:
    if entry.patch:
        return f"only with the patch {entry.patch!r}"
    return "all" if option.since == releases.tags()[0] else f"since {option.since}"


def _place(entry: Entry, option: Option) -> str:
    table = entry.key.table
    scripts = f" of {listed(entry.scripts)}" if entry.scripts else ""
    if entry.key.name in PATHS:
        return f"not in presets, set for each run{scripts}"
    level = f", {option.level} level" if option.level else ""
    return f"[{table}]{level}{scripts}"


def _values(entry: Entry) -> dict[str, Any]:
    option, written = entry.option, entry.text
    found: dict[str, Any] = {
        "option": str(entry.key),
        "what": written.what if written else None,
        "see": str(written.see) if written and written.see else None,
        "guide": [said._asdict() for said in written.guide] if written else [],
        "gui": list(written.gui) if written else [],
    }
    if option is None:
        return found
    return {
        **found,
        "presets": dict(entry.values),
        "type": option.type,
        "choices": list(option.choices),
        "default": entry.default,
        "level": option.level,
        "scripts": list(entry.scripts),
        "since": None if entry.patch else option.since,
        "patch": entry.patch,
    }


def _preset(found: PresetExplanation) -> Iterator[str]:
    head = found.header
    about = [str(head["date"])] if "date" in head else []
    about += [f"{head['vram_gib']:g} GB"] if "vram_gib" in head else []
    about += [head["script"], f"releases {head['releases']}"]
    about += [f"patches: {', '.join(head['patches']) or 'none'}"]
    yield f"{head['name']}: {head['title']}\n" + _wrapped([head["summary"], ", ".join(about)])
    settings = {r.key: f"{r.key.name} = {toml_text.value_text(r.value)}" for r in found.reasons}
    wide = max(map(len, settings.values()), default=0)
    for table in SETTINGS:
        lines = [
            f"  {settings[key]:<{wide}}  {why or 'no reason given'}\n"
            for key, _, why in found.reasons
            if key.table == table
        ]
        if lines:
            yield f"{table}\n" + "".join(lines)


def _titled(title: str, lines: Iterable[str], *, indent: str = "  ", hanging: int = 2) -> str:
    return f"{indent}{title}\n" + _wrapped(lines, indent=indent + "  ", hanging=hanging)


def _wrapped(lines: Iterable[str], *, indent: str = "  ", hanging: int = 0) -> str:
    wrapper = textwrap.TextWrapper(
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{wrapper.fill(line)}\n" for line in lines)
