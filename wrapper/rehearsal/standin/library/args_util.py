"""The options of sd-scripts' scripts, declared from our own facts about them."""

import argparse
import json
from pathlib import Path

HERE = Path(__file__).parent
FACTS = HERE / "options.json"  # of a copy of the stand-in
if not FACTS.exists():  # ours lie above: at the root of a clone, in site-packages of a wheel
    OURS = [folder / "kohya_presets/sdscripts/facts/options.json" for folder in HERE.parents]
    FACTS = next(file for file in OURS if file.exists())
TYPES = {"str": str, "Path": str, "int": int, "float": float, "int_or_float": float}


def facts(part):
    """Return what is known of the options of a script, or of "dataset", in the newest release."""
    known = {}
    for source, changes in json.loads(FACTS.read_text(encoding="utf-8"))[part].items():
        known.update(changes if source.startswith("v") else {})  # a release, not one between two
    return known


def add_arguments(parser, script):
    """Add every option that upstream's `script` has; those without a use here are ignored."""
    for name, option in facts(script).items():
        if "action" in option:
            parser.add_argument(f"--{name}", action=option["action"])
            continue
        parser.add_argument(
            f"--{name}",
            type=TYPES[option.get("type", "str")],
            nargs=option.get("nargs"),
            choices=option.get("choices"),
            default=option.get("default"),
        )


def read_config_from_file(args, parser):
    """Return the options with `--config_file` under the command line, as sd-scripts lays them."""
    import toml

    if not args.config_file:
        return args
    path = args.config_file if args.config_file.endswith(".toml") else f"{args.config_file}.toml"
    sections = toml.loads(Path(path).read_text(encoding="utf-8"))
    values = {}
    for key, value in sections.items():
        values.update(value if isinstance(value, dict) else {key: value})
    return parser.parse_args(namespace=argparse.Namespace(**values))
