"""A line of a prompt file: what it asks for, read and written.

library/train_util.py, line_to_prompt_dict (library/sampling.py from v0.11.0 on; inside of
sample_images_common in v0.7.x). sdxl_gen_img.py reads the same letters, and more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["caption", "near", "trigger", "without", "generic", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SIDE = 1024  # SDXL's; sd-scripts' own default is 512
TRIGGER = "Trigger:"  # how the comment begins that names it
MARK = "\ufeff"  # a byte-order mark, which sd-scripts does not take away
# How an option of a line begins; sd-scripts looks for them in the prompt itself as well.
OPTION = re.compile(r"^(w|h|d|s|l|g|n|ss|cn|mk|i|ctr|rcfg|fs|am) ", re.IGNORECASE)
_HEADING = re.compile(r"#\s*\[(\w+)\]")
_BEGINS = re.compile(r"(\w+) (.*)", re.DOTALL)


@dataclass(frozen=True)
class Prompt:
    """What one picture is made from. Sizes are in pixels; None is left to the script."""

    text: str
    kind: Kind = "other"
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    scale: float | None = None
    negative: str | None = None

    @property
    def options(self) -> Mapping[str, str]:
        """The options of the line, by their letters."""
        found = {
            "w": self.width,
            "h": self.height,
            "d": self.seed,
            "s": self.steps,
            "l": self.scale,
            "n": self.negative,
        }
        return {
            key: f"{value:g}" if isinstance(value, float) else str(value)
            for key, value in found.items()
            if value not in (None, "")
        }

    def line(self, strength: float | None = None) -> str:
        """Return the line. `strength` is a LoRA's, which sdxl_gen_img.py alone reads."""
        told = [] if strength is None else [f"--am {strength:g}"]
        said = (f"--{key} {value}" for key, value in self.options.items())
        return " ".join([self.text, *said, *told])


def of_text(text: str) -> list[Prompt]:
    """Return the prompts of a file, each with the kind of the heading above it."""
    kind: Kind = "other"
    found = []
    for line in text.removeprefix(MARK).splitlines():
        if heading := _HEADING.match(line):
            kind = next((known for known in KINDS if known == heading[1]), "other")
        elif is_read(line):
            found.append(of_line(line, kind))
    return found


def trigger_of(text: str) -> str | None:
    """Return the trigger that a file of prompts was made with, if that is one of ours."""
    found = re.search(rf"^# {TRIGGER} (.+)$", text, re.MULTILINE)
    return None if found is None or found[1].startswith("none;") else found[1].strip()


def is_read(line: str) -> bool:
    """Return whether sd-scripts takes a line of a file for a prompt."""
    return bool(line.strip()) and not line.startswith("#")


def of_line(line: str, kind: Kind = "other") -> Prompt:
    """Return what a line asks for; options that are not these six, or not understood, are lost."""
    said = dict(options(line))
    number = {key: _number(said.get(key)) for key in "whds"}
    scale = re.match(r"[\d.]+", said.get("l", ""))
    return Prompt(
        line.strip().split(" --")[0],
        kind,
        number["d"],
        number["w"],
        number["h"],
        number["s"],
        float(scale[0]) if scale and scale[0].count(".") < 2 and scale[0] != "." else None,
        said.get("n"),
    )


def options(line: str) -> Iterator[tuple[str, str]]:
    """Yield the options of a line as written: letters, value ("" for none)."""
    for part in line.strip().split(" --")[1:]:
        found = _BEGINS.match(part)
        yield (found[1].lower(), found[2]) if found else (part.strip().lower(), "")


def file_text(prompts: Iterable[Prompt], said: Iterable[str], headings: Mapping[Kind, str]) -> str:
    """Return a file of prompts, by kind, each kind under its heading; `said` stands at its top."""
    several = list(prompts)
    lines = [f"# {line}" for line in said]
    for kind in KINDS:
        if own := [prompt.line() for prompt in several if prompt.kind == kind]:
            lines += ["", f"# [{kind}] {headings[kind]}", *own]
    return "\n".join(lines) + "\n"


def _number(value: str | None) -> int | None:
    found = re.match(r"\d+", value or "")
    return int(found[0]) if found else None
