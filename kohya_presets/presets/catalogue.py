"""Find presets by name: a path, ./presets, the user's folder, the shipped five."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.presets import inherit
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.problems import did_you_mean

SHIPPED = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class Catalogue:
    """The folders that are searched for a name, first one first."""

    folders: tuple[Path, ...]

    def load(self, name: str, *, overrides: Sequence[str] = ()) -> Preset:
        """Return the preset called `name`, or the one in the file `name`, with `overrides` on it.

        Raises:
            UserError: there is none; the hint has the nearest names.
            PresetError: there is one, and it has errors.
        """
        return inherit.load(self.find(name), find=self.find, overrides=overrides)

    def head(self, name: str) -> Table:
        """Return the [preset] table of the preset called `name`, quickly.

        Raises:
            UserError, PresetError: as `load`, but a wrong setting goes unseen.
        """
        return inherit.head(self.find(name), find=self.find)

    def find(self, name: str, asked_by: Path | None = None) -> Path:
        """Return the file of preset `name`, never `asked_by`, the file that extends it.

        So a `skynet.toml` in ./presets may extend the user's, and that one the shipped one.
        """
        path = Path(name).expanduser()
        beside = asked_by.parent / path if asked_by else path
        as_path = path.suffix == ".toml" or len(path.parts) > 1
        if as_path and beside.is_file():
            return beside
        every = [folder / f"{name}.toml" for folder in self.folders]
        # A folder may be among them twice: ./presets, where that is the user's own.
        own = [asked_by is not None and file.resolve() == asked_by.resolve() for file in every]
        after = len(every) - own[::-1].index(True) if True in own else 0
        if found := next((file for file in every[after:] if file.is_file()), None):
            return found
        if asked_by and any(file.is_file() for file in every):
            return asked_by  # it extends itself; `inherit` reports that with its line
        if as_path:
            raise UserError(f"there is no preset file {beside}")
        raise UserError(f"there is no preset {name!r}", hint=self._hint(name))

    def names(self) -> Mapping[str, Path]:
        """Return the file of every preset, shipped ones first, each name once."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            for file in sorted(folder.glob("*.toml")):
                found[file.stem] = file
        return found

    def _hint(self, name: str) -> str:
        near = did_you_mean(name, self.names())
        return near or "List all presets with `kohya-presets list`."


def standard(user: Path, *, here: Path) -> Catalogue:
    """Return the usual search order: `here`/presets, the user's folder, the shipped catalogue."""
    return Catalogue((here / "presets", user, SHIPPED))
