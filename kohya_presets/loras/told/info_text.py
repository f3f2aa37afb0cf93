"""A LoRA's description as a person reads it, and as the values of JSON for a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kohya_presets import problems
from kohya_presets.loras import escape
from kohya_presets.loras.info import Group, Info
from kohya_presets.problems import Problem

VALUE_WIDTH = 72  # of metadata; the tags of a data set fill pages
_BASE_KEYS = ("ss_base_model_version", "modelspec.architecture", "ss_sd_model_name")


def text(info: Info, findings: Sequence[Problem]) -> str:
    """Return `info` as text, its last line ended."""
    lines = (*_head(info), "", *_table(info), *_findings(findings), *_metadata(info))
    return "\n".join((*map(escape.controls, lines), ""))


def values(info: Info, findings: Sequence[Problem]) -> dict[str, Any]:
    """Return the same as a table for JSON, and each module."""
    return {
        "file": str(info.file),
        "size": info.size,
        "rank": info.rank,
        "precisions": list(info.precisions),
        "shapes_of": info.shapes_of,
        "all": _values(info.all),
        "parts": [_values(part) for part in info.parts],
        "blocks": [_values(block) for block in info.blocks],
        "modules": [
            {
                "name": each.module.name,
                "rank": each.module.rank,
                "alpha": each.alpha,
                "shape": list(each.module.shape),
                "norm": each.norm,
            }
            for each in info.all.modules
        ],
        "not_measured": dict(info.others),
        "left_over": list(info.left.tensors),
        "left_over_share": info.left.share,
        "data_sha256": info.data_sha256,
        "metadata": dict(info.metadata),
        "problems": list(map(problems.values, findings)),
    }


def _head(info: Info) -> Iterator[str]:
    precision = ", ".join(info.precisions)
    yield f"{info.file.name}: rank {_span(info.all.ranks)}, {precision}, {info.size / 1e6:.1f} MB"
    models = [info.metadata[key] for key in _BASE_KEYS if key in info.metadata]
    unknown = "model not recognized from shapes"
    shapes = f"the shapes are those of {info.shapes_of}" if info.shapes_of else unknown
    yield f"  made for  {', '.join(models) or 'not in the metadata'}; {shapes}"
    parts = (f"{part.name} {len(part.modules)}" for part in info.parts)
    yield f"  modules   {', '.join(parts)}"
    yield f"  norm      {info.all.norm:.4g} (total weight change)"


def _table(info: Info) -> Iterator[str]:
    yield f"{'block':<18}{'modules':>8}{'rank':>10}{'alpha':>10}{'norm':>11}{'squared':>10}"
    for group in (*info.blocks, *info.parts, info.all):
        share = (group.norm / info.all.norm) ** 2 if info.all.norm else 0.0
        yield (
            f"{group.name:<18}{len(group.modules):>8}{_span(group.ranks):>10}"
            f"{_span(group.alphas):>10}{group.norm:>11.4g}{share:>10.1%}"
        )


def _findings(findings: Sequence[Problem]) -> Iterator[str]:
    yield ""
    if not findings:
        yield "The file matches its name and metadata."
    for problem in findings:
        yield problems.paragraph(problem)


def _metadata(info: Info) -> Iterator[str]:
    if not info.metadata:
        return
    yield ""
    yield "metadata"
    for key, value in sorted(info.metadata.items()):
        line = " ".join(value.split())
        yield f"  {key}: {line if len(line) <= VALUE_WIDTH else line[: VALUE_WIDTH - 1] + '…'}"


def _values(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "modules": len(group.modules),
        "ranks": list(group.ranks),
        "alphas": list(group.alphas),
        "norm": group.norm,
    }


def _span(numbers: Sequence[float]) -> str:
    if not numbers:
        return "-"
    low, high = (f"{number:g}" for number in (numbers[0], numbers[-1]))
    return low if low == high else f"{low} to {high}"
