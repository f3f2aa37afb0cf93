"""The text that is trained of a caption: with prefix, suffix and separators, of each line.

library/train_util.py (from v0.11.0 on library/dataset.py): process_caption. What each step does by
chance (shuffling, dropping, warming up) takes tags away or moves them; it adds none.
"""

from __future__ import annotations

import re

from kohya_presets.dataset.subsets import Subset
from kohya_presets.sdscripts import options

_CHOICE = re.compile(r"\{([^}]+)\}")
_ARRANGING = ("shuffle_caption", "token_warmup_step", "caption_tag_dropout_rate")


def texts(caption: str, subset: Subset) -> tuple[str, ...]:
    """Return the texts that a step can train of a caption: several only with enable_wildcard.

    Each line is one, and {a|b} in it is the longer of its words. The prefix goes before the first
    line alone, and the suffix behind the last one, as sd-scripts has it. Tags keep their order.
    """
    framed = _framed(caption, subset)
    if not _is(subset, ">=0.8.6"):
        lines = [framed]  # with line ends that a metadata file can have
    elif subset.has("enable_wildcard"):
        lines = [_chosen(line) for line in framed.split("\n")]
    else:
        lines = [framed.split("\n")[0]]
    return tuple(_separated(_arranged(line, subset), subset) for line in lines)


def text(caption: str, subset: Subset) -> str:
    """Return the longest of the texts that a step can train of a caption."""
    return max(texts(caption, subset), key=len)


def _framed(caption: str, subset: Subset) -> str:
    if prefix := _word(subset, "caption_prefix"):
        caption = f"{prefix} {caption}"
    if suffix := _word(subset, "caption_suffix"):
        caption = f"{caption} {suffix}"
    return caption


def _chosen(line: str) -> str:
    """Return a line with the longest word of each {a|b|c}; double braces are braces."""
    # Two letters that mean nothing stand for them meanwhile: as sd-scripts does, with its own.
    unused = (chr(code) for code in range(0xF0000, 0xFFFFE) if chr(code) not in line)
    opened, closed = next(unused), next(unused)
    line = line.replace("{{", opened).replace("}}", closed)
    line = _CHOICE.sub(lambda found: max(found[1].split("|"), key=len), line)
    return line.replace(opened, "{").replace(closed, "}")


def _arranged(line: str, subset: Subset) -> str:
    """Return the tags as they are joined again by what arranges them: with ", "."""
    if not any(subset.has(key) for key in _ARRANGING):
        return line
    separator = _word(subset, "caption_separator") if _is(subset, ">=0.7.1") else ","
    kept = _word(subset, "keep_tokens_separator") if _is(subset, ">=0.7.1") else ""
    if not kept or kept not in line:
        return ", ".join(tag.strip() for tag in line.strip().split(separator or ","))
    # Tags that stay first, tags that move, and from v0.8.6 on tags that stay last.
    parts = line.split(kept, 2 if _is(subset, ">=0.8.6") else 1)
    tags = [tag.strip() for part in parts for tag in part.split(separator or ",")]
    return ", ".join(tag for tag in tags if tag)


def _separated(line: str, subset: Subset) -> str:
    secondary = _word(subset, "secondary_separator") if _is(subset, ">=0.8.6") else ""
    separator = _word(subset, "caption_separator") or ","
    return line.replace(secondary, separator) if secondary else line


def _word(subset: Subset, key: str) -> str:
    return str(subset.get(key) or "")


def _is(subset: Subset, spec: str) -> bool:
    return options.is_in(subset.release, spec)
