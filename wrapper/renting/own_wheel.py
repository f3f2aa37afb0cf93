"""Our own program as a wheel: a rented machine installs exactly the one that made the pack.

As hatchling builds it (pyproject.toml), with fixed dates, so that the same program is the same
bytes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from kohya_presets import errors
from patches import registry

NAME = "kohya-presets"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can have
_INSTALLED = "kohya_presets/_installed"
_WHEEL = b"""\
Wheel-Version: 1.0
Generator: kohya-presets
Root-Is-Purelib: true
Tag: py3-none-any
"""
_ENTRY = b"[console_scripts]\nkohya-presets = kohya_presets.__main__:main\n"
_SKIPPED = ("__pycache__", "_installed")


def version() -> str:
    """Return the version of this program."""
    return importlib.metadata.version(NAME)


def file_name() -> str:
    """Return the name of its wheel."""
    return f"kohya_presets-{version()}-py3-none-any.whl"


def content() -> bytes:
    """Return the wheel; about 4 MB."""
    found = importlib.metadata.distribution(NAME)
    info = f"kohya_presets-{found.version}.dist-info"
    files = dict(_sources())
    files[f"{info}/METADATA"] = _metadata(found).encode("utf-8")
    if licence := _licence(found):
        files[f"{info}/licenses/LICENSE"] = licence
    files[f"{info}/WHEEL"] = _WHEEL
    files[f"{info}/entry_points.txt"] = _ENTRY
    lines = [f"{_csv(path)},sha256={_digest(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,\n"]).encode("utf-8")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), data)
    return made.getvalue()


def _sources() -> Iterator[tuple[str, bytes]]:
    for folder, into in (
        (Path(errors.__file__).parent, "kohya_presets"),
        (Path(registry.__file__).parent, f"{_INSTALLED}/patches"),
        (Path(__file__).parents[1], f"{_INSTALLED}/wrapper"),
    ):
        for file in sorted(folder.rglob("*")):
            inside = file.relative_to(folder)
            if file.is_file() and not {*inside.parts} & {*_SKIPPED} and file.suffix != ".pyc":
                yield f"{into}/{inside.as_posix()}", file.read_bytes()


def _licence(found: importlib.metadata.Distribution) -> bytes | None:
    """Return the licence, of a wheel that is installed or of a clone."""
    clone = Path(errors.__file__).parents[1] / "LICENSE"
    text = found.read_text("licenses/LICENSE")
    return text.encode("utf-8") if text else clone.read_bytes() if clone.is_file() else None


def _metadata(found: importlib.metadata.Distribution) -> str:
    needs = [need for need in found.requires or () if "extra ==" not in need]
    lines = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {found.version}"]
    lines += [f"Requires-Python: {found.metadata['Requires-Python']}"]
    return "".join(f"{line}\n" for line in (*lines, *(f"Requires-Dist: {need}" for need in needs)))


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")


def _csv(path: str) -> str:
    return f'"{path}"' if "," in path else path
