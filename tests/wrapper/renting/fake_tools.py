"""Tools of services that only write down how they were called; the tests look at that."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from wrapper.system import proc

NAMES = ("vastai", "runpodctl", "docker", "ssh", "scp", "sky")


class Tools:
    """A folder with fake tools, and what they were called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "called.jsonl"
        folder.mkdir()
        for name in NAMES:
            file = folder / name
            code = (
                "import json, sys; "
                f"open({str(self.log)!r}, 'a', encoding='utf-8')"
                f".write(json.dumps([{name!r}, *sys.argv[1:]]) + chr(10)); "
                "print('ssh://root@host:22' if 'ssh-url' in sys.argv else '')"
            )
            file.write_text(f"#!{sys.executable}\n{code}\n", "utf-8")
            file.chmod(0o755)

    def run(self, script: Path, *words: str, env: dict[str, str] | None = None) -> proc.Result:
        """Run one of the exported scripts with the fake tools, and some variables."""
        variables = {"PATH": f"{self.folder}:/usr/bin:/bin", "PYTHONUTF8": "1", **(env or {})}
        for key in ("HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            variables.setdefault(key, "")
        return proc.run(["sh", script, *words], env=variables, check=False)

    @property
    def called(self) -> list[list[str]]:
        """Each call, as the tool's name and its words."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


def flags(words: Sequence[str]) -> dict[str, str]:
    """Return each --flag with the word after it."""
    pairs = zip(words, [*words[1:], ""], strict=True)
    return {word: after for word, after in pairs if word.startswith("-")}
