"""Time the validation of a thousand configs, in one process; above five seconds is a failure.

Paired with what a user would run instead: the TOML parser alone, which finds faults of syntax only.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import toml

from kohya_presets.files import render
from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.validate import config_files
from kohya_presets.validate.report import Against
from patches import registry

AGAINST = Against("v0.10.1", ("ema", "adacoor"), registry.additions())

COUNT = 1000
LIMIT_SECONDS = 5.0


def main() -> None:
    """Write the configs, validate and parse them, print both, fail above the limit."""
    shipped = Catalogue((catalogue.SHIPPED,))
    presets = [shipped.load(name) for name in shipped.names()]
    with tempfile.TemporaryDirectory() as work:
        files = []
        for number in range(COUNT):
            made, folder = presets[number % len(presets)], Path(work) / str(number)
            folder.mkdir()
            dataset = folder / "dataset.toml"
            paths = render.Paths(folder, folder / "base.safetensors", folder, "korra", dataset)
            # Every other one with a typo: only faults are worth a closer look.
            extra = {f"learning_rat{number}": 1} if number % 2 else {}
            files.append(folder / "config.toml")
            files[-1].write_text(render.config(made, paths, extra=extra), "utf-8")
            dataset.write_text(render.dataset(made, paths), "utf-8")
        parsed, validated, wrong = 0.0, 0.0, 0
        for file in files:
            started = time.perf_counter()
            for name in ("config.toml", "dataset.toml"):
                toml.loads(file.with_name(name).read_text("utf-8"))
            parsed += time.perf_counter() - started
            started = time.perf_counter()
            report = config_files.file(file, AGAINST)
            wrong += any(problem.code == "unknown-option" for problem in report.problems)
            validated += time.perf_counter() - started
    print(f"{COUNT} configs and their dataset configs, {wrong} of them with a typo")
    print(f"  toml alone  {parsed:6.2f} s")
    print(f"  validated   {validated:6.2f} s  {validated / parsed:5.1f} x")
    if validated > LIMIT_SECONDS:
        sys.exit(f"slower than {LIMIT_SECONDS:g} s")


if __name__ == "__main__":
    main()
