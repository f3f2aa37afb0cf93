"""Tools of services that write down how they were called, and answer as the real ones do.

What is copied to a machine is there, as `ssh` sees it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from wrapper.system import proc

NAMES = ("vastai", "runpodctl", "docker", "ssh", "scp", "sky")


CODE = """
import json, subprocess, sys
name, log = {name!r}, {log!r}
with open(log, 'a', encoding='utf-8') as file:
    file.write(json.dumps([name, *sys.argv[1:]]) + chr(10))
words = ' '.join(sys.argv[1:])
if name == 'vastai' and '-url' in words:
    print(words[:3] + '://root@host:22')
elif words.startswith('create instance'):
    print("Started. {{'success': True, 'new_contract': 34}}")
elif name == 'ssh' and 'cksum' in words:
    subprocess.run('cat pack.zip start.sh 2>/dev/null | cksum', shell=True)
"""


class Tools:
    """A folder with fake tools, and what they were called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "called.jsonl"
        folder.mkdir()
        for name in NAMES:
            file = folder / name
            code = CODE.format(name=name, log=str(self.log))
            file.write_text(f"#!{sys.executable}\n{code}", "utf-8")
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
