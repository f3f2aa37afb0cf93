"""Run in vastai's own Python: does its command line take these words, and its search this query?

Reads a file with a list of commands as JSON, each a list of words, and prints what each is taken
for. An unknown field of a query, of which vastai only warns, is an error here.
"""

import contextlib
import importlib
import io
import json
import pathlib
import pkgutil
import sys

from vastai.api import query as queries
from vastai.cli import commands, main

for module in pkgutil.iter_modules(commands.__path__):
    importlib.import_module(f"vastai.cli.commands.{module.name}")

parser = main.parser
found = []
for words in json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")):
    try:
        taken = parser.parse_args(words)
    except SystemExit:
        raise SystemExit(f"vastai does not take {words}") from None
    asked = None
    if words[:2] == ["search", "offers"]:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            asked = queries.parse_query(
                taken.query, {}, queries.offers_fields, queries.offers_alias, queries.offers_mult
            )
        if said.getvalue():
            raise SystemExit(said.getvalue())
    values = {k: v for k, v in vars(taken).items() if isinstance(v, str | int | float | list)}
    found.append({"values": values, "query": asked})
print(json.dumps(found))
