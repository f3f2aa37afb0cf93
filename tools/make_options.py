"""Write facts/options.json: every option of every release of sd-scripts, told as changes.

python -m tools.make_options [FOLDER...]

Each folder holds the sources of what it is named after: a release, or a commit between two. Without
one, all of them are fetched.
"""

from __future__ import annotations

import ast
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.sdscripts import options as options_file
from kohya_presets.sdscripts import releases
from tools.read_parser import Declared, Unreadable, options
from wrapper.checkouts import acquire

GUI = "https://github.com/bmaltais/kohya_ss"
NEEDED = ("/*.py", "/library/*.py", "/networks/*.py")
SCRIPTS = (
    "sdxl_train.py",
    "sdxl_train_network.py",
    "networks/extract_lora_from_models.py",
    "networks/resize_lora.py",
)
# Scripts that share nearly all with another one: told as what each source's has otherwise.
KIN = options_file.KIN
ANYWHERE = ("general", "dataset", "subset")


class Schema(NamedTuple):
    """One of ConfigSanitizer's tables: on which levels its keys may be, for which subsets.

    A subset is a folder of images, or has its captions in a metadata file, or conditioning images.
    """

    levels: tuple[str, ...]
    subsets: tuple[str, ...] = ("images", "metadata", "conditioning")


SCHEMAS = {
    "SUBSET_ASCENDABLE_SCHEMA": Schema(ANYWHERE),
    "DO_SUBSET_ASCENDABLE_SCHEMA": Schema(ANYWHERE),
    "DB_SUBSET_ASCENDABLE_SCHEMA": Schema(ANYWHERE, ("images",)),
    "CN_SUBSET_ASCENDABLE_SCHEMA": Schema(ANYWHERE, ("conditioning",)),
    "DB_SUBSET_DISTINCT_SCHEMA": Schema(("subset",), ("images",)),
    "FT_SUBSET_DISTINCT_SCHEMA": Schema(("subset",), ("metadata",)),
    "CN_SUBSET_DISTINCT_SCHEMA": Schema(("subset",), ("conditioning",)),
    "DATASET_ASCENDABLE_SCHEMA": Schema(("general", "dataset")),
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

Facts = dict[str, dict[str, Any]]  # option -> what is known of it


def main() -> None:
    """Write the options of every script and the keys of the dataset file."""
    with tempfile.TemporaryDirectory() as work:
        folders = [*map(Path, sys.argv[1:])] or fetched(Path(work))
        text = written(gathered(folders))
    file = releases.FACTS / "options.json"
    beside = file.with_name(f"{file.name}.part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    beside.replace(file)


def fetched(into: Path) -> list[Path]:
    """Return folders with the sources of all that is known, got now."""
    names = [*releases.tags(), *(known.name for known in releases.between())]
    return [fetch(name, into / name) for name in names]


def fetch(name: str, into: Path) -> Path:
    """Fill `into` with the sources of a release, of a commit, or of a known commit between two."""
    remote, revision = acquire.REMOTE, name
    if release := releases.get(name):
        revision = release.commit
    elif known := next((b for b in releases.between() if b.name == name), None):
        revision = known.commits[-1] if known.commits else f"refs/tags/{known.gui[-1]}"
        remote = remote if known.commits else GUI
    acquire.from_git(remote, revision, into, needed=NEEDED)
    return into


def gathered(folders: Sequence[Path]) -> dict[str, Any]:
    """Return the facts: "after" says which source another one's changes are told against.

    A release follows the one before it; a commit between two, the release it differs least from.
    """
    known = {folder.name: everything(folder) for folder in folders}
    tags = [tag for tag in releases.tags() if tag in known]
    after: dict[str, str | None] = dict(zip(tags, [None, *tags[:-1]], strict=True))
    for name in (between.name for between in releases.between() if between.name in known):
        after[name] = min(tags, key=lambda tag: distance(known[tag], known[name]))
    if left := known.keys() - after:
        raise ValueError(f"{', '.join(sorted(left))}: named after no known release or commit")
    facts: dict[str, Any] = {"after": after}
    for part in (*SCRIPTS, "dataset"):
        pairs = ((name, known[base][part] if base else {}) for name, base in after.items())
        facts[part] = {name: changes(was, known[name][part]) for name, was in pairs}
    for script, other in KIN.items():
        kin = {f.name: kinship(f, script, known[f.name][other]) for f in folders}
        facts[script] = {n: kin[n] for n, b in after.items() if b is None or kin[n] != kin[b]}
    return facts


def kinship(folder: Path, script: str, other: Facts) -> Facts | None:
    """Return what a script has otherwise than another one; None where there is no such script."""
    return changes(other, declared(folder, script)) if (folder / script).is_file() else None


def everything(folder: Path) -> dict[str, Facts]:
    """Return the options of each script of one source, and the keys of its dataset file."""
    return {**{s: declared(folder, s) for s in SCRIPTS}, "dataset": dataset(folder)}


def changes(was: Facts, now: Facts) -> dict[str, Any]:
    """Return what `now` has that `was` has not, whole; None for what it has no more."""
    found: dict[str, Any] = {name: fact for name, fact in now.items() if was.get(name) != fact}
    return {**found, **{name: None for name in was if name not in now}}


def distance(one: Mapping[str, Facts], other: Mapping[str, Facts]) -> int:
    """Return in how many options two sources differ."""
    return sum(len(changes(one[part], other[part])) for part in one)


def declared(folder: Path, script: str) -> Facts:
    """Return the options of one script of one release."""
    return {option.name: _entry(option) for option in options(folder, script)}


def dataset(folder: Path) -> Facts:
    """Return the keys of the dataset file of one release, read from the schema's source."""
    text = (folder / "library/config_util.py").read_text(encoding="utf-8-sig")
    tables = {
        node.targets[0].id: node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    found: Facts = {}
    for name, schema in SCHEMAS.items():
        if not isinstance(table := tables.get(name), ast.Dict):
            raise Unreadable(f"{folder}: no {name} in library/config_util.py")
        for key, kind, required in _keys(table):
            entry = found.setdefault(key, {"type": kind, "levels": [], "subsets": []})
            if entry["type"] != kind:
                raise Unreadable(f"schema type {kind} of {key}, and {entry['type']}")
            _add(entry, "levels", schema.levels)
            _add(entry, "subsets", schema.subsets)
            if required:
                _add(entry, "required", schema.subsets)
    return found


def written(facts: Mapping[str, Any]) -> str:
    """Return the facts as JSON with one option on a line, so that a diff can be read."""
    blocks = [f' "after": {json.dumps(facts["after"])}']
    for part in (*SCRIPTS, "dataset"):
        steps = (_step(name, known) for name, known in facts[part].items() if known)
        blocks.append(f" {json.dumps(part)}: {{\n" + ",\n".join(steps) + "\n }")
    for part in KIN:
        steps = (_step(name, known) for name, known in facts[part].items())
        blocks.append(f" {json.dumps(part)}: {{\n" + ",\n".join(steps) + "\n }")
    return '{\n "generator": "tools/make_options.py",\n' + ",\n".join(blocks) + "\n}\n"


def _step(name: str, known: Facts | None) -> str:
    if known is None:
        return f"  {json.dumps(name)}: null"
    lines = (f"   {json.dumps(option)}: {json.dumps(fact)}" for option, fact in known.items())
    return f"  {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n  }"


def _entry(option: Declared) -> dict[str, Any]:
    """Return what is recorded of an option: what argparse was given, without what is usual."""
    fact = {
        name: value for name, value in option._asdict().items() if value not in (None, (), False)
    }
    del fact["name"]
    return fact


def _keys(table: ast.Dict) -> Iterator[tuple[str, str, bool]]:
    """Yield (key, type, whether it is required) of a schema's table."""
    for key, value in zip(table.keys, table.values, strict=True):
        required = isinstance(key, ast.Call)  # Required("image_dir")
        key = key.args[0] if isinstance(key, ast.Call) else key
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            raise Unreadable(f"schema key {ast.dump(key) if key else None}")
        if (kind := ast.unparse(value)) not in TYPES:
            raise Unreadable(f"schema type {kind} of {key.value}")
        yield key.value, TYPES[kind], required


def _add(entry: dict[str, Any], name: str, values: Sequence[str]) -> None:
    entry[name] = [*entry.get(name, []), *(v for v in values if v not in entry.get(name, []))]


if __name__ == "__main__":
    main()
