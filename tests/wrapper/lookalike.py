"""A small git repository that looks like sd-scripts, for tests of checkouts."""

from __future__ import annotations

from pathlib import Path

from wrapper.system import proc

FILES = {
    "sdxl_train.py": "from library import train_util\n",
    "train_network.py": "x = 1\n",
    "networks/extract_lora_from_models.py": "y = 1\n",
    "networks/resize_lora.py": "y = 2\n",
    "library/train_util.py": "z = 'ü'\n",
    "library/ipex/hijacks.py": "deep = True\n",
    "requirements.txt": "toml==0.10.2\n-e .\n",
    "LICENSE.md": "Apache\n",
    "README.md": "hello\n",
    "bitsandbytes_windows/lib.dll": "binary\n",
    "configs/t5/tokenizer.json": "{}\n",
}
NEEDED = {name for name in FILES if not name.startswith(("bitsandbytes", "configs"))}


def write(folder: Path) -> Path:
    """Write the files into `folder`."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="\n")
    return folder


def commit(folder: Path) -> str:
    """Make `folder` a repository with one commit of all that is in it; return the commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    if not (folder / ".git").exists():
        proc.run([*git, "init", "--quiet"])
    proc.run([*git, "add", "--all", "--force"])
    proc.run([*git, "commit", "--quiet", "--message=all"])
    return proc.run([*git, "rev-parse", "HEAD"]).stdout.strip()


def found(folder: Path) -> set[str]:
    """Return the files in `folder`, git's own aside."""
    names = (f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())
    return {name for name in names if not name.startswith(".git/")}
