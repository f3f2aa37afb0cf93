from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from wrapper.system import launch, proc

GONE = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"),
    *("GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE"),
    *(
        "GIT_CEILING_DIRECTORIES",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_TRACE",
        "GIT_REPLACED",
    ),
    *("GIT_TEMPLATE_DIR", "GIT_QUARANTINE_PATH", "GIT_DEFAULT_HASH", "GIT_NOT_YET_INVENTED"),
)
KEPT = (
    *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_TERMINAL_PROMPT", "GIT_SSL_CAINFO"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_12"),
    *("GIT_PROXY_SSL_CAINFO", "GIT_HTTP_PROXY_AUTHMETHOD", "GIT_EXEC_PATH"),
)


@pytest.mark.parametrize("door", ["proc", "launch"])
def test_no_child_gets_another_gits_variables(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*GONE, *KEPT, "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "set")
    code = "import os; print(*(n for n in os.environ if n.startswith('GIT')))"
    argv = (sys.executable, "-c", code)
    if door == "proc":
        said = proc.run(argv).stdout
    else:
        lines: list[str] = []
        launch.run(launch.Launch(argv, tmp_path, tmp_path / "log"), on_line=lines.append)
        said = lines[0]
    assert set(said.split()) == {*KEPT, "GITHUB_TOKEN"}


def test_a_git_that_a_hook_starts_looks_at_the_folder_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("theirs", "ours"):
        proc.run(["git", "init", "--quiet", tmp_path / name])
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    monkeypatch.setenv("GIT_COMMON_DIR", str(tmp_path / "theirs" / ".git"))
    found = proc.run(["git", "-C", tmp_path / "ours", "rev-parse", "--absolute-git-dir"]).stdout
    assert Path(found.strip()).resolve() == (tmp_path / "ours" / ".git").resolve()


WORDS = (
    *("plain", "C:\\Program Files\\Python\\python.exe", "--data=D:\\my pictures\\", "a&b", "a|b"),
    *("50% off", 'say "hi"', 'back\\"slash', "ends\\\\", "", "it's", "ü 東京", "(x)", "a^b", "<x>"),
    *("--optimizer_args", "betas=(0.9, 0.99)", "!x!", "a;b", "a,b", "=", "`x`"),
)


def test_a_command_for_windows_is_read_there_as_the_same_words() -> None:
    line = proc.command_line(WORDS, windows=True)
    assert _as_windows_reads(line) == list(WORDS)
    assert "'" not in line.replace("it's", "")


@pytest.mark.parametrize("sign", list("&|<>^() ;,"))
def test_a_sign_of_cmd_is_inside_of_quotes(sign: str) -> None:
    assert proc.command_line([f"a{sign}b"], windows=True) == f'"a{sign}b"'


def test_a_command_for_other_systems_is_read_there_as_the_same_words() -> None:
    line = proc.command_line(WORDS, windows=False)
    assert shlex.split(line) == list(WORDS)


def test_the_shell_is_that_of_this_system() -> None:
    expected = '"a b"' if os.name == "nt" else "'a b'"
    assert proc.command_line([Path("a b")]) == expected


def _as_windows_reads(line: str) -> list[str]:
    """Split as Windows does: a quote after an odd number of backslashes is a letter."""
    words, word, quoted, begun, at = [], "", False, False, 0
    while at < len(line):
        slashes = len(line[at:]) - len(line[at:].lstrip("\\"))
        after = line[at + slashes : at + slashes + 1]
        if slashes:
            begun = True
            word += "\\" * (slashes // 2 if after == '"' else slashes)
            at += slashes
            if after == '"' and slashes % 2:
                word, at = word + '"', at + 1
        elif after == '"':
            quoted, begun, at = not quoted, True, at + 1
        elif after == " " and not quoted:
            words += [word] if begun else []
            word, begun, at = "", False, at + 1
        else:
            word, begun, at = word + after, True, at + 1
    return [*words, word] if begun else words
