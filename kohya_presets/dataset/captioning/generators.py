"""Prompts that generators of images write into PNG text chunks, and into EXIF for other formats.

Sources, by what the programs write: AUTOMATIC1111's web UI, modules/images.py and
infotext_utils.py (`parameters`, also Forge, Fooocus, SwarmUI); ComfyUI, nodes.py, SaveImage
(`prompt`, `workflow`); NovelAI (`Description`, `Comment`); InvokeAI (`invokeai_metadata`,
`sd-metadata`, `Dream`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kohya_presets.dataset.captioning import comfyui
from kohya_presets.dataset.captioning.said import Said

_LONGEST = 16 * 2**20  # characters of JSON; a workflow with pictures in it is not read
_STEPS = re.compile(r"^Steps: \d+(,|$)", re.MULTILINE)
_NEGATIVE = "Negative prompt:"
_DREAM = re.compile(r'\s*"(?P<prompt>.*)"(?=\s+-|\s*$)', re.DOTALL)


def of_chunks(chunks: Mapping[str, str]) -> Iterator[Said]:
    """Yield the prompts in an image's text chunks: keyword -> text."""
    if text := chunks.get("parameters"):
        yield of_parameters(text)
    if text := chunks.get("invokeai_metadata"):
        yield _said(_json(text), "InvokeAI", "positive_prompt")
    if text := chunks.get("sd-metadata"):
        yield _old_invokeai(_json(text))
    if (text := chunks.get("Dream")) and (found := _DREAM.match(text)):
        yield Said(found["prompt"], "InvokeAI")
    is_novelai = chunks.get("Software") == "NovelAI"
    if is_novelai and (text := chunks.get("Comment")):
        yield _said(_json(text), "NovelAI", "prompt")
    if text := chunks.get("Description"):
        yield Said(text, "NovelAI" if is_novelai else "PNG Description")
    if text := chunks.get("prompt"):
        yield comfyui.of_prompt(_json(text)) if text.lstrip().startswith("{") else Said("", "")


def of_tag(text: str) -> Said | None:
    """Return the prompt of a workflow that ComfyUI wrote into one of EXIF's tags (WebP, JPEG)."""
    name, colon, rest = text.partition(":")
    if not colon or name.strip().lower() not in ("prompt", "workflow") or "{" not in rest[:3]:
        return None
    is_prompt = name.strip().lower() == "prompt"
    return comfyui.of_prompt(_json(rest)) if is_prompt else Said("", comfyui.SOURCE)


def of_comment(text: str) -> Said:
    """Return what a comment of EXIF says: a generator's settings, or a text."""
    if _STEPS.search(text) or text.lstrip().startswith("{"):
        return of_parameters(text)
    return Said(text, "EXIF UserComment")


def of_parameters(text: str) -> Said:
    """Return the prompt of AUTOMATIC1111's text, or of the JSON that others write in its place."""
    if text.lstrip().startswith("{"):
        found = _json(text)
        inner = found.get("sui_image_params")
        if isinstance(inner, dict):
            return _said(inner, "SwarmUI", "prompt")
        return _said(found, "parameters", "prompt") if found else _unreadable("parameters")
    lines = text.split("\n")
    if lines and _STEPS.match(lines[-1].strip()):
        lines.pop()
    prompt: list[str] = []
    for line in lines:
        if line.strip().startswith(_NEGATIVE) or _STEPS.match(line):
            break
        prompt.append(line)
    return Said("\n".join(prompt), "A1111 parameters")


def _old_invokeai(found: Mapping[str, Any]) -> Said:
    """Return the prompt of InvokeAI 2: a text, or parts with weights."""
    image = found.get("image")
    prompt = image.get("prompt") if isinstance(image, dict) else None
    if isinstance(prompt, list):
        parts = [part.get("prompt") for part in prompt if isinstance(part, dict)]
        if len(parts) != 1:
            return Said("", "InvokeAI", f"its prompt has {len(parts)} parts with weights")
        prompt = parts[0]
    return Said(prompt, "InvokeAI") if isinstance(prompt, str) else _unreadable("InvokeAI")


def _said(found: Mapping[str, Any], source: str, key: str) -> Said:
    text = found.get(key)
    return Said(text, source) if isinstance(text, str) else _unreadable(source)


def _unreadable(source: str) -> Said:
    return Said("", source, f"its data of {source} cannot be read")


def _json(text: str) -> Mapping[str, Any]:
    """Return the table in a text of JSON; an empty one where there is none."""
    if len(text) > _LONGEST:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
