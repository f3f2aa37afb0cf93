"""Run in vastai's own Python, in its place: takes what its command line takes, and answers so.

There is one offer, and the machine that is rented of it is a folder. As with the real one, a copy
to a machine that does not run yet says so and ends well.
"""

import contextlib
import importlib
import io
import json
import os
import pathlib
import pkgutil
import shutil
import sys

from vastai.api import query as queries
from vastai.cli import commands, main

for module in pkgutil.iter_modules(commands.__path__):
    importlib.import_module(f"vastai.cli.commands.{module.name}")

STATE = pathlib.Path(os.environ["FAKE_STATE"])
OFFER, INSTANCE = "20211707", "34005512"
told = STATE / "vast.json"
state = json.loads(told.read_text()) if told.exists() else {}
words = sys.argv[1:]
taken = main.parser.parse_args(words)
what = " ".join(words[:2])


def require(key: str, why: str) -> None:
    """End as the real one would, where a step before is missing."""
    if not state.get(key):
        raise SystemExit(f"failed with error 401: {why}")


def place(path: str) -> pathlib.Path:
    """Return where a path of the machine is here."""
    return STATE / "machine" / path.partition(":/")[2]


if what == "set api-key":
    state["key"] = taken.new_api_key
elif what == "create ssh-key":
    require("key", "no key")
    state["ssh"] = True
elif what == "search offers":
    require("key", "no key")
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        queries.parse_query(
            taken.query, {}, queries.offers_fields, queries.offers_alias, queries.offers_mult
        )
    if said.getvalue():
        raise SystemExit(f"unknown fields: {said.getvalue()}")
    print("ID        CUDA  N   Model      PCIE  VRAM  Disk  $/hr\n")
    print(f"{OFFER}  12.8  1x  A100_SXM4  24.1  80.0  512   0.9312")
    state["found"] = True
elif what == "create instance":
    require("ssh", "no ssh key")
    if str(taken.id) != OFFER or not pathlib.Path(taken.onstart).is_file():
        raise SystemExit(f"failed with error 400: no such offer {taken.id}")
    state["rented"] = True
    print(f"Started. {{'success': True, 'new_contract': {INSTANCE}}}")
elif words[0] in ("ssh-url", "scp-url"):
    require("rented", "no instance")
    print(f"{words[0][:3]}://root@203.0.113.7:41022")
elif words[0] == "copy":
    require("rented", "no instance")
    state["tries"] = state.get("tries", 0) + 1
    if state["tries"] <= 2:
        print("instance is not running")
    else:
        target = place(taken.dst)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(taken.src.removeprefix("local:"), target)
elif what == "destroy instance":
    require("rented", "no instance")
    state["rented"] = str(taken.id) != INSTANCE
    print(f"destroying instance {taken.id}.")
else:
    raise SystemExit(f"the pages need no `vastai {what}`")
told.write_text(json.dumps(state))
