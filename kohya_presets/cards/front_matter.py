"""The head of a README on Hugging Face: YAML that its Hub reads.

Keys: https://huggingface.co/docs/hub/model-cards and huggingface_hub's `ModelCardData`; the tags
are those of Diffusers' own LoRA trainers. `widget` shows pictures beside their prompts,
`instance_prompt` is what the Hub calls a trigger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kohya_presets.cards import page
from kohya_presets.cards.facts import Facts
from kohya_presets.cards.words import Words

LIBRARY, TASK, ADAPTER = "diffusers", "text-to-image", "adapter"
_TAGS = (TASK, "lora", "diffusers")
_SDXL_TAGS = ("stable-diffusion-xl", "stable-diffusion-xl-diffusers")
_TEMPLATE = "template:sd-lora"  # the Hub's layout with a gallery
# https://huggingface.co/docs/hub/repositories-licenses; another one is "other" with its name.
_LICENSES = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigcode-openrail-m
    bigscience-bloom-rail-1.0 openrail++ afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause
    bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0
    cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 ecl-2.0 epl-1.0 epl-2.0 eupl-1.1
    eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0
    osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib wtfpl unknown other
"""
LICENSES = frozenset(_LICENSES.split())
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_BARE = re.compile(r"[A-Za-z][\w/:+-]*(?:\.[\w/:+-]+)*", re.ASCII)
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # YAML 1.1's own


def values(facts: Facts, words: Words) -> dict[str, Any]:
    """Return the head's values; nothing stands for what is not known."""
    base = words.base_model or facts.base_model
    is_there = bool(_REPOSITORY.fullmatch(base))
    named = words.license.lower()
    found = {
        "base_model": base if is_there else None,
        "base_model_relation": ADAPTER if is_there else None,
        "library_name": LIBRARY if facts.is_sdxl else None,
        "pipeline_tag": TASK,
        "tags": _tags(facts, words),
        "instance_prompt": page.trigger(words) or None,
        **_license(named, words),
        "widget": [
            {"text": one.prompt or " ", "output": {"url": one.file}} for one in facts.samples
        ],
    }
    return {key: value for key, value in found.items() if value}


def text(found: Mapping[str, Any]) -> str:
    """Return the values as YAML between two lines `---`."""
    return "".join(("---\n", *_lines(found, ""), "---\n"))


def _tags(facts: Facts, words: Words) -> list[str]:
    of_model = _SDXL_TAGS if facts.is_sdxl else ()
    template = (_TEMPLATE,) if facts.samples else ()
    return [*dict.fromkeys((*_TAGS, *of_model, *template, *words.tags))]


def _license(named: str, words: Words) -> dict[str, str | None]:
    if named in LICENSES:
        name: str | None = words.license_name or None
    else:
        name = words.license_name or words.license
    link = words.license_link if words.license_link.startswith(("https://", "http://")) else None
    if not named:
        return {}
    return {
        "license": named if named in LICENSES else "other",
        "license_name": _slug(name) if name else None,
        "license_link": link,
    }


def _slug(name: str) -> str:
    """Return a license's name as the Hub takes it: small letters, digits and "-"."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or "other"


def _lines(found: Mapping[str, Any], indent: str) -> list[str]:
    made = []
    for key, value in found.items():
        if isinstance(value, str):
            made.append(f"{indent}{key}: {_scalar(value)}\n")
        elif isinstance(value, Mapping):
            made += [f"{indent}{key}:\n", *_lines(value, f"{indent}  ")]
        elif isinstance(value, Sequence):
            made.append(f"{indent}{key}:\n")
            for item in value:
                if isinstance(item, Mapping):
                    first, *rest = _lines(item, f"{indent}  ")
                    made += [f"{indent}- {first[len(indent) + 2 :]}", *rest]
                else:
                    made.append(f"{indent}- {_scalar(item)}\n")
    return made


def _scalar(said: str) -> str:
    r"""Return a text as YAML reads it back: bare where it is a plain word, else in quotes.

    Between double quotes, YAML has JSON's escapes, and `\U` for a character beyond 16 bits.
    """
    if _BARE.fullmatch(said) and said.lower() not in _WORDS and not said.endswith(":"):
        return said
    return '"' + "".join(map(_sign, said)) + '"'


def _sign(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    if sign == "\n":
        return "\\n"
    if sign.isprintable() and sign != "\ufeff":
        return sign
    code = ord(sign)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
