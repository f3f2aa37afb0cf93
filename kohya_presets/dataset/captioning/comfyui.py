"""The prompt in a workflow of ComfyUI, where there is only one that it can be.

The PNG's chunk `prompt` holds the nodes as they ran: number -> `class_type` and `inputs`; an input
is a value, or a link [number of a node, which of its outputs] (ComfyUI, execution.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kohya_presets.dataset.captioning.said import Said

SOURCE = "ComfyUI"
_BEGINNINGS = ("sampler", "guider")  # in the class of nodes that take what is to be drawn
# Inputs in which nodes keep a text: those that encode it, and those that only hold it.
_TEXTS = ("text", "text_g", "text_l", "clip_l", "t5xxl", "prompt", "string", "value")


def of_prompt(nodes: Mapping[str, Any]) -> Said:
    """Return the text that every sampler of the workflow draws; a fault where they differ."""
    found = {text.strip() for node in _beginnings(nodes) for text in _drawn(nodes, node)}
    found.discard("")
    if len(found) == 1:
        return Said(found.pop(), SOURCE)
    if found:
        return Said("", SOURCE, f"its workflow of ComfyUI has {len(found)} different prompts")
    return Said("", SOURCE, "no prompt was found in its workflow of ComfyUI")


def _beginnings(nodes: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for node in nodes.values():
        kind = node.get("class_type") if isinstance(node, dict) else None
        if isinstance(kind, str) and any(word in kind.lower() for word in _BEGINNINGS):
            yield node


def _drawn(nodes: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[str]:
    inputs = _inputs(node)
    for name in ("positive", "conditioning"):
        if name in inputs:
            yield from _texts(nodes, inputs[name], set())
            return


def _texts(nodes: Mapping[str, Any], link: object, seen: set[str]) -> Iterator[str]:
    """Yield every text that a link leads to, through nodes that only pass it on."""
    waiting = [link]
    while waiting:  # no recursion: a workflow is as deep as somebody made it
        link = waiting.pop()
        if isinstance(link, str):
            yield link
            continue
        if not (isinstance(link, list) and len(link) == 2):
            continue
        number, output = str(link[0]), link[1]
        if f"{number} {output}" in seen or not isinstance(nodes.get(number), dict):
            continue
        seen.add(f"{number} {output}")
        waiting += _onward(_inputs(nodes[number]), output)


def _onward(inputs: Mapping[str, Any], output: object) -> list[object]:
    """Return what a node's output is made of: its texts, else what it was given to draw."""
    if texts := [inputs[name] for name in _TEXTS if isinstance(inputs.get(name), str | list)]:
        return texts
    if "positive" in inputs:  # such as ControlNetApplyAdvanced: positive goes in and out first
        positive = inputs["positive"]
        return [positive] if output == 0 and isinstance(positive, list) else []
    return [value for name, value in inputs.items() if name.startswith("conditioning")]


def _inputs(node: Mapping[str, Any]) -> Mapping[str, Any]:
    found = node.get("inputs")
    return found if isinstance(found, dict) else {}
