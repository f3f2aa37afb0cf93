"""Where the LoRAs go: one file, or a folder with a name for each. Checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.problems import plural
from wrapper.system import names, whole

SUFFIX = ".safetensors"
_OTHER_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")  # pickles, which sd-scripts would write too


@dataclass(frozen=True)
class Wanted:
    """One input; what its LoRAs are called in a folder: a stem, and an ending for each of them."""

    source: Path
    stem: str
    ends: tuple[str, ...]  # ranks, mostly: several where one extraction makes several


def places(out: Path, wanted: Sequence[Wanted], keep: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Return the files to write for each input, with absolute paths.

    `out` is a file if it ends with .safetensors, else a folder. `keep` are files that are read.

    Raises:
        UserError: two inputs would get the same file, or an input would be overwritten.
    """
    out = out.expanduser().absolute()
    if out.suffix.lower() in _OTHER_SUFFIXES:
        raise UserError(f"--out is {out.name}, but a LoRA is written as {SUFFIX}")
    found = _in_file(out, wanted) if out.suffix.lower() == SUFFIX else _in_folder(out, wanted)
    seen: dict[str, Path] = {}
    for want, files in zip(wanted, found, strict=True):
        for file in files:
            first = seen.setdefault(str(file).casefold(), want.source)  # one file on Windows
            if first != want.source:
                raise UserError(
                    f"{first} and {want.source} would both become {file.name}",
                    hint="Run the command once for each, with another --out.",
                )
            for read in keep:
                if file.exists() and file.samefile(read):
                    raise UserError(
                        f"{file} is read, so it cannot be written", hint="Choose another --out."
                    )
    return found


def require_writable(found: Sequence[Sequence[Path]], *, force: bool) -> None:
    """Raise UserError if one of the files is a folder, or exists and `force` is not set."""
    every = [file for files in found for file in files]
    for file in every:
        if file.is_dir():
            raise UserError(f"cannot write {file}: it is a folder")
    if not force:
        whole.require_free(every)


def _in_file(out: Path, wanted: Sequence[Wanted]) -> list[tuple[Path, ...]]:
    if len(wanted) > 1:
        raise UserError(
            f"--out is one file, {out.name}, but there are {plural(len(wanted), 'input')}",
            hint="Give a folder: it gets one file for each.",
        )
    (want,) = wanted
    names.usable(out.name)
    # As fast-lora calls them: the first rank's file has the name itself.
    others = (out.with_name(f"{out.stem}-dim{end}{out.suffix}") for end in want.ends[1:])
    return [(out, *others)]


def _in_folder(out: Path, wanted: Sequence[Wanted]) -> list[tuple[Path, ...]]:
    if out.is_file():
        raise UserError(
            f"--out is {out}, a file that does not end with {SUFFIX}",
            hint=f"Give a file that ends with {SUFFIX}, or a folder.",
        )
    return [
        tuple(out / names.usable(f"{want.stem}-{end}{SUFFIX}") for end in want.ends)
        for want in wanted
    ]
