"""What a newcomer sees first: the help, wrong usage, and what a shell completes."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT
from tests.wrapper.cli.test_cli import run, typed
from wrapper.cli import COMMANDS, cli
from wrapper.cli.group import first_sentence
from wrapper.system import proc

MAIN = "from wrapper.cli import main; main()"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_has_the_first_sentence_of_each(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert COMMANDS[name][1] == first_sentence(command)


@pytest.mark.parametrize("words", [("--help",), ()])
def test_the_list_of_commands_imports_no_command(words: tuple[str, ...]) -> None:
    said = "print(*(m for m in sys.modules if m.startswith(('wrapper.', 'kohya_presets.'))))"
    code = f"import sys\ntry: {MAIN}\nfinally: {said}"
    done = proc.run([sys.executable, "-c", code, *words], check=False)
    assert set(done.stdout.splitlines()[-1].split()) == {
        "kohya_presets.errors",
        "kohya_presets.problems",
        "kohya_presets.secrets",
        "wrapper.cli",
        "wrapper.cli.group",
    }


def every(group: click.Group, context: click.Context) -> list[click.Context]:
    """Return a context for each command, with its name as it is typed."""
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, parent=context, info_name=name)
        found += every(command, inner) if isinstance(command, click.Group) else [inner]
    return found


EVERY = every(cli, click.Context(cli, info_name="kohya-presets"))


@pytest.mark.parametrize("context", EVERY, ids=lambda context: str(context.command_path))
def test_a_command_has_an_example_of_itself_and_help_for_each_option(
    context: click.Context,
) -> None:
    text = context.command.help or ""
    assert "Example:" in text
    assert f"    {context.command_path}" in text
    for option in context.command.params:
        assert not isinstance(option, click.Option) or option.help or option.hidden, option.name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shwo", "skynet"), "Did you mean 'show'?"),
        (("patch", "aply"), "Did you mean 'apply'?"),
        (("show",), "`kohya-presets list` shows the presets"),
        (("train", "skynet"), "`kohya-presets train --help` shows the options"),
        (("validate", "skynet", "--images", "x"), "`kohya-presets validate --help`"),
    ],
)
def test_wrong_usage_ends_with_what_to_do(words: tuple[str, ...], said: str) -> None:
    done = typed(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    assert said in done.stderr


@pytest.mark.parametrize("words", [(), ("patch",)])
def test_a_group_without_a_command_prints_its_help(words: tuple[str, ...]) -> None:
    done = typed(*words)
    assert done.stderr.startswith("Usage: kohya-presets") or done.stdout.startswith("Usage: ")
    assert "error:" not in done.stderr


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("kohya-presets tr", ["plain,train"]),
        ("kohya-presets show sk", ["plain,skynet"]),
        ("kohya-presets diff skynet li", ["plain,lion"]),
        ("kohya-presets validate ly", ["file,ly"]),
        ("kohya-presets validate li", ["file,li", "plain,lion"]),
        ("kohya-presets train --da", ["plain,--data"]),
        ("kohya-presets patch ap", ["plain,apply"]),
        ("kohya-presets patch revert --", ["plain,--checkout", "plain,--force", "plain,--help"]),
        ("kohya-presets nonsense x", []),
    ],
)
def test_a_shell_completes_commands_presets_and_options(line: str, completed: list[str]) -> None:
    env = {
        "_KOHYA_PRESETS_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    code = "from wrapper.cli import main; main()"
    done = proc.run([sys.executable, "-c", code], env=env, check=False)
    assert done.stderr == ""
    assert set(completed) <= set(done.stdout.split()) or not completed
    assert completed or not done.stdout.strip()
    assert "plain,--even-edited" not in done.stdout


def test_the_old_name_of_force_still_works() -> None:
    assert "--even-edited" not in run("patch", "revert", "--help").stdout
    assert "--force" in run("patch", "revert", "--help").stdout
    option = next(p for c in EVERY for p in c.command.params if "--even-edited" in p.opts)
    assert option.name == "force"


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("cp1252", r"\u6771\u4eac\xe9"), ("utf-8", "東京é")],  # `proc` shows no UTF-8 as \xe9
)
@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("show", "東京é"),
        ("show", "東京é.toml"),  # there is none
        ("validate", "東京é", "--set", "train.learning_rat=1"),
        ("explain", "東京é"),
    ],
    ids=" ".join,
)
def test_a_letter_that_the_encoding_lacks_is_printed_escaped(
    words: tuple[str, ...], encoding: str, printed: str, tmp_path: Path
) -> None:
    """As on a Windows computer whose output goes to a file; click writes consoles in Unicode."""
    folder = tmp_path / "here" / "presets"
    folder.mkdir()
    text = (ROOT / "kohya_presets/presets/shipped/skynet.toml").read_text("utf-8")
    (folder / "東京é.toml").write_text(text.replace('"skynet"', '"東京é"'), "utf-8")
    environ = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    run = [sys.executable, "-c", f"import sys; {MAIN}", *words]
    done = proc.run(run, env=environ, check=False)
    assert "Traceback" not in done.stderr
    assert printed in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_name_in_another_encoding_is_an_error_that_says_so(tmp_path: Path) -> None:
    words = ("render", "skynet", "--out", "out", "--data", "caf\udce9")
    done = proc.run([sys.executable, "-c", MAIN, *words], check=False)
    assert done.returncode == 1
    assert "in another encoding than UTF-8" in done.stderr
    assert "Traceback" not in done.stderr
