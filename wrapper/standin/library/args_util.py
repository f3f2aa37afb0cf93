"""The options of sd-scripts' scripts, declared from our own facts about them."""

import argparse
import json
from pathlib import Path

HERE = Path(__file__).parent
FACTS = HERE / "options.json"  # of a copy of the stand-in
if not FACTS.exists():
    FACTS = HERE.parents[2] / "kohya_presets" / "facts" / "options.json"
TYPES = {"str": str, "int": int, "float": float, "int or float": float}


def add_arguments(parser, script):
    """Add every option that upstream's `script` has; those without a use here are ignored."""
    for name, option in json.loads(FACTS.read_text(encoding="utf-8"))[script].items():
        if option["type"] == "bool":
            parser.add_argument(f"--{name}", action="store_true")
            continue
        many = option["type"].endswith("s") and option["type"] != "str"
        parser.add_argument(
            f"--{name}",
            type=TYPES[option["type"].removesuffix("s") if many else option["type"]],
            nargs="*" if many else None,
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
