"""Write facts/options.json from folders of sd-scripts' sources, each named after its tag.

python -m tools.make_options FOLDER...
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kohya_presets import releases
from tools.read_parser import Unreadable, options

SCRIPTS = (
    "sdxl_train.py",
    "sdxl_train_network.py",
    "networks/extract_lora_from_models.py",
    "networks/resize_lora.py",
)
SCHEMAS = {  # of ConfigSanitizer, as far as folders of images and captions are concerned
    "SUBSET_ASCENDABLE_SCHEMA": "subset",
    "DO_SUBSET_ASCENDABLE_SCHEMA": "subset",
    "DB_SUBSET_ASCENDABLE_SCHEMA": "subset",
    "DB_SUBSET_DISTINCT_SCHEMA": "subset",
    "DATASET_ASCENDABLE_SCHEMA": "dataset",
}
# sd-scripts checks these with voluptuous, where a plain `float` refuses a whole number.
TYPES = {
    "bool": "bool",
    "int": "int",
    "str": "str",
    "float": "strict float",
    "dict": "table",
    "Any(float, int)": "float",
    "functools.partial(__validate_and_convert_twodim.__func__, float)": "float pair",
    "functools.partial(__validate_and_convert_scalar_or_twodim.__func__, int)": "int or int pair",
}

Facts = dict[str, dict[str, Any]]


def main() -> None:
    """Write the options of every script and of the dataset file, each with its first release."""
    folders = sorted(map(Path, sys.argv[1:]), key=lambda folder: releases.order(folder.name))
    if not folders:
        sys.exit(__doc__)  # no sources are no reason to write that there are no options
    file = releases.FACTS / "options.json"
    beside = file.with_name(f"{file.name}.part")
    beside.write_text(written(gathered(folders)), encoding="utf-8", newline="\n")
    beside.replace(file)


def gathered(folders: Sequence[Path]) -> dict[str, Facts]:
    """Return everything the releases in `folders` know, oldest folder first."""
    facts = {
        script: merged((folder.name, declared(folder, script)) for folder in folders)
        for script in SCRIPTS
    }
    facts["dataset"] = merged((folder.name, dataset(folder)) for folder in folders)
    return facts


def declared(folder: Path, script: str) -> Facts:
    """Return the options of one script of one release."""
    found = {}
    for option in options(folder, script):
        entry: dict[str, Any] = {"type": option.type}
        if option.choices:
            entry["choices"] = list(option.choices)
        if option.default not in (None, False):
            entry["default"] = option.default
        found[option.name] = entry
    return found


def dataset(folder: Path) -> Facts:
    """Return the keys of the dataset file of one release, read from the schema's source."""
    text = (folder / "library/config_util.py").read_text(encoding="utf-8-sig")
    found: Facts = {}
    unseen = set(SCHEMAS)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in unseen and isinstance(node.value, ast.Dict):
                found |= _schema(node.value, SCHEMAS[name])
                unseen.remove(name)
    if unseen:
        raise Unreadable(f"{folder}: no {', '.join(sorted(unseen))} in library/config_util.py")
    return found


def merged(by_release: Iterable[tuple[str, Facts]]) -> Facts:
    """Return each option as its newest release has it, and the release that had it first."""
    found: Facts = {}
    for release, facts in by_release:
        for name, entry in facts.items():
            new = {**entry, "since": release}
            found[name] = _newer(found[name], entry, release) if name in found else new
    return found


def written(facts: Mapping[str, Facts]) -> str:
    """Return the facts as JSON with one option on a line, so that a diff can be read."""
    blocks = []
    for script, known in facts.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in known.items()]
        blocks.append(f" {json.dumps(script)}: {{\n" + ",\n".join(lines) + "\n }")
    head = '{\n "generator": "tools/make_options.py",\n'
    return head + ",\n".join(blocks) + "\n}\n"


def _newer(before: Mapping[str, Any], entry: Mapping[str, Any], release: str) -> dict[str, Any]:
    """Return `entry` with the history that `before` has of the same option."""
    now, had = entry.get("choices", ()), before.get("choices", ())
    came = {str(choice): release for choice in now if had and choice not in had}
    came = {**before.get("choices_since", {}), **came}
    return {**entry, "since": before["since"], **({"choices_since": came} if came else {})}


def _schema(node: ast.Dict, level: str) -> Facts:
    found: Facts = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Call):  # Required("image_dir")
            key = key.args[0]
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            raise Unreadable(f"schema key {ast.dump(key) if key else None}")
        if (kind := ast.unparse(value)) not in TYPES:
            raise Unreadable(f"schema type {kind} of {key.value}")
        found[key.value] = {"type": TYPES[kind], "level": level}
    return found


if __name__ == "__main__":
    main()
