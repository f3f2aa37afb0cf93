"""What lies in the home folder, how much space it takes, and how to get it back.

Only what can be downloaded or created again is ever deleted: never the user's own presets and
patches, nor anything that is not known here, such as runs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.problems import did_you_mean
from wrapper.checkouts import checkout
from wrapper.system import folders, locks, paths, sizes, users

ENVIRONMENT = "environment"  # its folder, in that of a checkout
KINDS = ("checkouts", "environments", "downloads", "stand-ins")
YOURS = "yours"  # kind of all else
_FOLDERS = {"environments": "environments", "stand-ins": "stand-in"}


@dataclass(frozen=True)
class Item:
    """A folder of the home, or a file; of a checkout without its environment, an item itself."""

    kind: str
    name: str
    at: Path
    size: int  # bytes

    def as_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"kind": self.kind, "name": self.name, "path": str(self.at), "bytes": self.size}


def items() -> list[Item]:
    """Return everything that is in the home folder."""
    home = paths.home()
    found = [*_checkouts(), *_downloads()]
    for kind, folder in _FOLDERS.items():
        found += [Item(kind, at.name, at, sizes.of(at)) for at in _folders(home / folder)]
    known = {paths.checkouts(), *(home / folder for folder in _FOLDERS.values())}
    rest = sorted(home.iterdir()) if home.is_dir() else []
    for at in rest:
        if at not in known and not any(at in (i.at, *i.at.parents) for i in found):
            found.append(Item(YOURS, at.name, at, sizes.of(at)))
    return found


def chosen(kind: str, name: str | None) -> list[Item]:
    """Return the items of a kind, or those called `name`; environments go with their checkouts.

    Raises:
        UserError: there is none of that name.
    """
    every = items()
    found = [item for item in every if item.kind == kind and name in (None, item.name)]
    if name is not None and not found:
        known = [item.name for item in every if item.kind == kind]
        hint = did_you_mean(name, known) or "`kohya-presets home show` lists what there is."
        raise UserError(f"there is nothing called {name!r} among the {kind}", hint=hint)
    return found + [e for e in every if any(i.at == e.at.parent for i in found)]


def require_unused(found: list[Item], *, force: bool = False) -> None:
    """Raise UserError if a process uses one of the items, or the user edited files of a checkout.

    `force` gives up the edited files.
    """
    for item in found:
        users.require_none(item.at)
        if item.kind == "checkouts" and (item.at / checkout.FILES).is_file() and not force:
            checkout.require_unedited(item.at)


def delete(found: list[Item]) -> Iterator[Item]:
    """Delete items, and yield each that is deleted; environments before their checkouts.

    Raises:
        UserError: another kohya-presets is just creating one, and none was deleted.
    """
    with contextlib.ExitStack() as held:
        for lock in dict.fromkeys(_lock(item) for item in found):
            busy = UserError(
                f"another kohya-presets is creating files (it holds {lock})",
                hint="Wait until it has finished. Nothing was deleted.",
            )
            if lock.parent.is_dir():
                held.enter_context(locks.held(lock, busy))
        for item in reversed(found):
            folders.delete(item.at)
            if item.at.exists():
                hint = "Close the programs that use it, then run the same command again."
                raise UserError(f"cannot delete all of {item.at}", hint=hint)
            yield item


def _lock(item: Item) -> Path:
    """Return the lock that kohya-presets holds while it creates such an item."""
    if item.kind == "environments":
        return item.at.with_suffix(".lock")
    return paths.checkouts() / ".lock"


def _checkouts() -> Iterator[Item]:
    for at in _folders(paths.checkouts()):
        inner = at / ENVIRONMENT
        made = inner.is_dir() and not inner.is_symlink()
        size = sizes.of(inner) if made else 0
        yield Item("checkouts", at.name, at, sizes.of(at) - size)
        if made:
            yield Item("environments", at.name, inner, size)


def _downloads() -> Iterator[Item]:
    """Yield the models of Hugging Face's cache, where that lies in the home folder."""
    cache = _hub_cache()
    if cache.is_relative_to(paths.home()):
        for at in sorted(cache.glob("models--*")):
            name = at.name.removeprefix("models--").replace("--", "/")
            yield Item("downloads", name, at, sizes.of(at))


def _hub_cache(environ: os._Environ[str] = os.environ) -> Path:
    # As huggingface_hub decides, without the time that importing it takes.
    caches = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    hugging_face = environ.get("HF_HOME") or Path(caches) / "huggingface"
    hub = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(hub or Path(hugging_face) / "hub").expanduser().absolute()


def _folders(parent: Path) -> list[Path]:
    found = sorted(parent.iterdir()) if parent.is_dir() else []
    return [at for at in found if at.is_dir() and not at.is_symlink()]
