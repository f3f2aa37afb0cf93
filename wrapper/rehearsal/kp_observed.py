"""Run a script unchanged, and write down what it used: its options, images and captions.

    python kp_observed.py FOLDER SCRIPT ARGUMENTS...

FOLDER/SCRIPT.json has them when the script has ended, however it ended. Of several processes, the
others write FOLDER/SCRIPT.rank1.json and so on. What sd-scripts calls them
was read in v0.7.1 to v0.11.1; what a script lacks is null there. Runs in the trainer's environment,
with nothing of ours importable.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Observer:
    """What is known by now of the script that this process is."""

    def __init__(self) -> None:
        self.known: list[str] = []  # options that the script's parser has
        self.used = argparse.Namespace()  # as the script has them now: it may change them itself
        self.images: set[str] | None = None
        self.captions: set[str] | None = None

    def watch(self) -> None:
        """Note the options whenever a parser has read some: the last time is the one that counts.

        By then the script has imported all that it uses.
        """
        parse = argparse.ArgumentParser.parse_args

        def parse_args(parser: Any, *args: Any, **options: Any) -> Any:
            self.used = parse(parser, *args, **options)
            self.known = [action.dest for action in parser._actions]
            self._watch_library()
            return self.used

        argparse.ArgumentParser.parse_args = parse_args  # type: ignore[method-assign]

    def write(self, file: Path) -> None:
        """Write down what was seen."""
        used = vars(self.used)
        options = {name: used[name] for name in self.known if name in used}
        # What a patch of ours does in place of the script, which must not do it as well.
        options |= dict.fromkeys(used.get("kp_taken", ()), True)
        seen = {
            "options": options,
            "images": None if self.images is None else sorted(self.images),
            "captions": None if self.captions is None else sorted(self.captions),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(seen, default=str), encoding="utf-8")

    def _watch_library(self) -> None:
        """Note what its loader of images and its dataset are given, wherever a module has them."""
        for module in [m for name, m in sys.modules.items() if name.startswith("library.")]:
            if hasattr(module, "load_image"):
                self.images = set() if self.images is None else self.images
                module.load_image = _noted(module.load_image, self._note_image)
            dataset = getattr(module, "BaseDataset", None)
            if hasattr(dataset, "process_caption"):
                self.captions = set() if self.captions is None else self.captions
                dataset.process_caption = _noted(dataset.process_caption, self._note_caption)

    def _note_image(self, file: Any, *_: Any) -> None:
        assert self.images is not None
        self.images.add(str(file))

    def _note_caption(self, dataset: Any, subset: Any, caption: Any, *_: Any) -> None:
        # As it was read: prefixes, shuffling and dropout come after.
        assert self.captions is not None
        self.captions.add(str(caption))


def _noted(function: Any, note: Callable[..., None]) -> Any:
    def noted(*args: Any, **options: Any) -> Any:
        note(*args)
        return function(*args, **options)

    noted.is_noted = True  # type: ignore[attr-defined]
    return function if hasattr(function, "is_noted") else noted


def main(prepare: Callable[[], None] | None = None) -> None:
    """Observe, then be SCRIPT; `prepare` is called before, with what SCRIPT can import."""
    folder, script = Path(sys.argv[1]), Path(sys.argv[2]).absolute()
    sys.argv = [str(script), *sys.argv[3:]]
    sys.path[0] = str(script.parent)
    if prepare:
        prepare()
    observer = Observer()
    observer.watch()
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        rank = int(os.environ.get("RANK", "0"))  # of torchrun
        observer.write(folder / f"{script.stem}{f'.rank{rank}' if rank else ''}.json")


if __name__ == "__main__":
    main()
