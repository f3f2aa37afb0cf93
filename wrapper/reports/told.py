"""What the report says in words and tables: rows of texts, each from what was gathered."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from kohya_presets import secrets
from kohya_presets.problems import plural
from wrapper.reports.gather import Gathered
from wrapper.screen import progress
from wrapper.system import proc, sizes

Pair = tuple[str, str]
METADATA = 60  # entries of a LoRA's metadata
LONGEST = 300  # letters of a value
TABLES = ("train", "dataset", "extract", "resize", "run", "samples")
VERDICTS = {
    "undertrained": "Undertrained: train longer.",
    "right": "It is trained right.",
    "overtrained": "Overtrained: train shorter, or keep an epoch before.",
    "unknown": "The pictures do not tell which epoch to keep.",
}


class Setting(NamedTuple):
    """A setting of the preset, its value as TOML has it, and why it is that."""

    name: str
    value: str
    why: str


def next_steps(found: Gathered) -> list[str]:
    """Return what a person does next, the most important first."""
    if found.at_work:
        return ["The run goes on. This page is written again at every save: reload it then."]
    if not found.is_done:
        resume = proc.our_line("resume", found.run.folder)
        return [f"Continue the run with `{resume}`."]
    if found.run.kind == "rehearsal":
        return ["This was a rehearsal on a miniature: its LoRA is not for use. Train now."]
    if found.evaluation is not None:
        return ["Look at the pictures of the evaluation, then keep the epoch that it recommends."]
    evaluate = proc.our_line("evaluate", found.run.folder)
    return [
        f"Test your epochs: `{evaluate}` makes pictures with each and compares them.",
        "Do not choose an epoch by its loss.",
    ]


def went_in(found: Gathered) -> Iterator[Pair]:
    """Yield what was trained on what."""
    run, preset = found.run, found.preset
    facts: Mapping[str, Mapping[str, Any]] = run.facts
    sources, base, data, machine, inputs = (
        facts.get(name, {}) for name in ("sd-scripts", "base", "data", "environment", "inputs")
    )
    yield "preset", f"{run.preset}: {preset.summary}" if preset else run.preset
    if preset and preset.date:
        yield "preset, dated", str(preset.date)
    yield "kind of run", run.kind
    yield "sd-scripts", _release(sources)
    if commit := sources.get("commit"):
        yield "commit", str(commit)
    yield "patches", ", ".join(map(str, sources.get("patches", ()))) or "none"
    for name, digest in facts.get("patches", {}).items():
        if digest:
            yield f"patch {name}", f"SHA-256 {digest}"
    if base:
        yield "base model", _base(base)
    if digest := base.get("sha256"):
        yield "base model, SHA-256", str(digest)
    yield "data", _data(found, data)
    yield from _trained(found)
    if machine:
        yield "machine", _machine(machine)
    if "seed" in inputs:
        yield "seed", str(inputs["seed"])


def settings(found: Gathered) -> list[Setting]:
    """Return the settings of the preset, with their provenance."""
    preset = found.preset
    if preset is None:
        return []
    return [
        Setting(name, _value(key, value), preset.provenance.get(name, "not said"))
        for table, values in preset.tables.items()
        for key, value in values.items()
        for name in [f"{table}.{key}"]
    ]


def times(found: Gathered) -> list[tuple[str, float, str]]:
    """Return of each stage that ran its name, its seconds, and these with its cost as a text."""
    rows = []
    for stage in found.run.stages:
        if stage.seconds:
            rows.append((stage.name, stage.seconds, _cost(found.rate, stage.seconds)))
    return rows


def total(found: Gathered) -> str:
    """Return the time of all stages, and what it cost."""
    seconds = sum(stage.seconds or 0.0 for stage in found.run.stages)
    return _cost(found.rate, seconds)


def files(found: Gathered) -> list[list[str]]:
    """Return a row for each file of weights: name, size, when it was written, hash."""
    return [
        [made.name, sizes.said(made.size), _day(made.written), (made.sha256 or "")[:16]]
        for made in found.made
    ]


def metadata(found: Gathered) -> list[Pair]:
    """Return the LoRA's own metadata, long values shortened."""
    every = sorted((found.lora.metadata if found.lora else {}).items())
    return [(key[:LONGEST], secrets.masked(_short(value))) for key, value in every[:METADATA]]


def spectrum(found: Gathered) -> tuple[list[str], list[list[str]], str] | None:
    """Return head and rows of what each rank keeps, by part and block, and the advice; or None.

    From what `lora rank --json` printed; the form is checked, as anybody may have written it.
    """
    table = found.ranks or {}
    ranks, rows = table.get("ranks"), []
    if not isinstance(ranks, list) or not all(isinstance(rank, int) for rank in ranks):
        return None
    blocks = table.get("blocks")
    parts = table.get("parts")
    for row in [table.get("all"), *_list(parts), *_list(blocks)]:
        kept = row.get("retained") if isinstance(row, dict) else None
        if not isinstance(kept, list) or len(kept) != len(ranks):
            continue
        if all(isinstance(share, int | float) for share in kept):
            rows.append([str(row.get("name")), *(f"{share:.1%}" for share in kept)])
    advice = table.get("advice")
    head = ["part or block", *map(str, ranks)]
    return (head, rows, advice if isinstance(advice, str) else "") if rows else None


def evaluation(found: Gathered) -> Mapping[str, Any] | None:
    """Return the recommendation, and what was measured of each epoch; None without an evaluation.

    The form of the file is checked: another program may have written it.
    """
    table = found.evaluation
    if table is None:
        return None
    advice = table.get("recommendation")
    advice = advice if isinstance(advice, dict) else {}
    rows = []
    for row in _list(table.get("epochs")):
        if isinstance(row, dict):
            copies = f"{row.get('copies', '?')} of {row.get('of', '?')}"
            numbers = (_share(row.get(key)) for key in ("diversity", "leak", "trigger"))
            rows.append([str(row.get("model", "?")), _shown(row.get("epoch")), copies, *numbers])
    verdict = str(advice.get("verdict", "unknown"))
    return {
        "model": _shown(advice.get("model")) if advice.get("model") else "",
        "verdict": VERDICTS.get(verdict, verdict),
        "reason": str(advice.get("reason", "")),
        "rows": rows,
        "pictures": len(_list(table.get("pictures"))),
    }


def warnings(found: Gathered) -> list[list[str]]:
    """Return a row for each warning in the logs: which log, what, how often."""
    return [
        [stage, text, f"{count:,}"]
        for stage, read in found.logs.items()
        for text, count in read.warnings
    ]


def _release(sources: Mapping[str, Any]) -> str:
    if sources.get("standin"):
        return "the stand-in of kohya-presets, not the real sd-scripts"
    release = sources.get("release") or sources.get("commit") or "?"
    like = sources.get("like")
    return f"{release}, options of {like}" if like and like != release else str(release)


def _base(base: Mapping[str, Any]) -> str:
    name = PurePath(str(base.get("file", "?"))).name
    size = base.get("size")
    said = f"{name}, {sizes.said(size)}" if isinstance(size, int) else name
    reference, revision = base.get("reference"), base.get("revision")
    if reference and PurePath(str(reference)).name != name:
        said += f", from {reference}"
    return said + (f", revision {revision}" if revision else "")


def _data(found: Gathered, data: Mapping[str, Any]) -> str:
    folder = PurePath(str(data.get("folder", "?"))).name
    if found.images is None:
        return f"{folder}; how many images is not known"
    captions = "" if found.captions is None else f", {plural(found.captions, 'caption')}"
    return f"{folder}: {plural(found.images, 'image')}{captions}"


def _trained(found: Gathered) -> Iterator[Pair]:
    if found.settings is None:
        return
    training = found.settings.training
    rates = (f"{part} at {rate}" for part, rate in training.rates.items())
    yield "trains", ", ".join(rates) or "nothing"
    yield "optimizer", training.optimizer_name
    if found.log.total:
        yield "steps", f"{found.log.done:,} of {found.log.total:,}"


def _machine(machine: Mapping[str, Any]) -> str:
    gpus = ", ".join(map(str, machine.get("gpus") or ())) or "no GPU"
    packages = (
        f"{name} {value}" for name, value in machine.items() if name not in ("python", "gpus")
    )
    return f"{gpus}; {', '.join(packages)}".replace("; version", "; Python")


def _value(key: str, value: Any) -> str:
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, bool):
        shown = shown.lower()
    return secrets.masked_of(key, shown)[:LONGEST]


def _cost(rate: float | None, seconds: float) -> str:
    time = progress.clock(seconds)
    return time if rate is None else f"{time}, costs {rate * seconds / 3600:,.2f}"


def _day(at: float) -> str:
    return f"{datetime.datetime.fromtimestamp(at, datetime.timezone.utc):%Y-%m-%d %H:%M}"


def _share(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "not measured"


def _shown(value: Any) -> str:
    return "" if value is None else str(value)[:LONGEST]


def _short(value: str) -> str:
    more = len(value) - LONGEST
    return value if more <= 0 else f"{value[:LONGEST]} … ({more} more characters)"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
