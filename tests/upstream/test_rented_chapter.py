"""A person who has never rented follows the chapters, command by command, in their order.

The services' tools are fakes that check their words with the parsers of the real ones; the machine
is a folder.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT, UPSTREAM_HOME
from tests.upstream import own_environment
from tests.upstream.test_rented import HERE, SKYPILOT, VASTAI
from tests.wrapper.data import odd_pictures
from wrapper.renting import unpack
from wrapper.system import proc

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for sh"),
]
FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:pip|vastai) [^`]+)`")
README, PAGE = ROOT / "README.md", ROOT / "docs" / "renting.md"
Follow = Callable[[str], proc.Result]
REACHED = """
import pathlib, re, shutil, subprocess, sys
machine = pathlib.Path({state!r}) / "machine"
words = sys.argv[1:]
if {name!r} == "scp":
    source = re.sub("^scp://[^/]*//", "", words[-2])
    into = pathlib.Path(words[-1])
    at = machine / source
    shutil.copytree(at, into / at.name) if at.is_dir() else shutil.copy(at, into)
    raise SystemExit
if not re.fullmatch("ssh://root@[0-9.]+:[0-9]+", words[-2]):
    raise SystemExit("ssh: no such host")
run = words[-1].replace("/workspace", str(machine / "workspace")).replace(" -F ", " ")
done = subprocess.run(["sh", "-c", run])
if words[-1] == "touch /workspace/ready" and done.returncode == 0:  # and so it trains
    work = machine / "workspace" / "kohya-presets" / "results"
    (work / "lora").mkdir(parents=True)
    (work / "lora" / "korra.safetensors").write_bytes(b"a LoRA")
    (work / "report.html").write_text("how it went")
    (machine / "workspace" / "start.log").write_text("training korra")
raise SystemExit(done.returncode)
"""
OTHER = """
import json, pathlib, subprocess, sys
words, name = sys.argv[1:], {name!r}
if name == "pip" and words[:1] == ["install"] and words[1].split("[")[0] in ("vastai", "skypilot"):
    raise SystemExit
if name == "aws" and words[:2] == ["s3", "sync"]:
    task = pathlib.Path("task.yaml").read_text("utf-8")
    assert words[2].startswith(task.split('KP_BUCKET: "')[1].split('"')[0] + "/korra/"), words
    raise SystemExit
if name == "sky":
    subprocess.run([{sky!r}, {here!r} + "/in_sky_words.py", json.dumps([words])], check=True)
    for file in [word for word in words if word.endswith(".yaml")]:
        asked = json.dumps([[file, ["vast", "runpod", "lambda", "aws"]]])
        done = subprocess.run([{sky!r}, {here!r} + "/in_sky.py", asked], check=True, text=True,
                              stdout=subprocess.PIPE)
        (found,) = json.loads(done.stdout.splitlines()[-1])
        if "refused" in found:
            raise SystemExit(found["refused"])
        print("chosen:", found["cloud"], found["type"])
    raise SystemExit
raise SystemExit(f"the pages need no {{name}} {{words}}")
"""


class Line(NamedTuple):
    """A command of a page, without its comment."""

    text: str

    @property
    def needs(self) -> list[str]:
        """What a person fills in: it stands in capital letters."""
        return [word for word in shlex.split(self.text) if word in ("OFFER", "INSTANCE", "BID")]


def commands(page: Path, heading: str) -> Iterator[Line]:
    """Yield the commands of a chapter, in its order."""
    chapter = page.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for part in re.split(r"(^```\w*\n.*?^```$)", chapter, flags=re.MULTILINE | re.DOTALL):
        if fenced := FENCE.fullmatch(part):
            lines = fenced[1].replace("\\\n", " ").splitlines()
            yield from (Line(shlex.join(shlex.split(line, comments=True))) for line in lines)
        else:
            yield from map(Line, INLINE.findall(part) if page == README else ())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with the images that the chapters speak of."""
    made = tmp_path / "home é"
    pictures = made / "pictures" / "korra"
    pictures.mkdir(parents=True)
    for number in range(3):
        odd_pictures.drawn(number, (1024, 1024)).save(pictures / f"{number} é.png")
        (pictures / f"{number} é.txt").write_text("korra", "utf-8")
    return made


@pytest.fixture
def follow(home: Path, tmp_path: Path) -> Follow:
    """Return a function that does what a person does: types a line, and reads what it prints."""
    state, bin_ = tmp_path / "state", tmp_path / "bin"
    for folder in (state, bin_):
        folder.mkdir()
    vast = own_environment.python(UPSTREAM_HOME / "vastai", [VASTAI])
    sky = own_environment.python(UPSTREAM_HOME / "skypilot", [SKYPILOT])
    codes = {
        **{n: REACHED.format(name=n, state=str(state)) for n in ("ssh", "scp")},
        **{n: OTHER.format(name=n, sky=str(sky), here=str(HERE)) for n in ("pip", "sky", "aws")},
    }
    files = {name: f"#!{sys.executable}\n{code}" for name, code in codes.items()}
    files["vastai"] = f'#!/bin/sh\nexec "{vast}" "{HERE / "as_vast.py"}" "$@"\n'
    files["sleep"] = "#!/bin/sh\n"
    ours = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m kohya_presets "$@"\n'
    files["kohya-presets"] = f"#!/bin/sh\n{ours}"
    for name, text in files.items():
        (bin_ / name).write_text(text, "utf-8")
        (bin_ / name).chmod(0o755)
    at = home

    def typed(line: str) -> proc.Result:
        nonlocal at
        if line.startswith("cd "):
            at, line = at / line.removeprefix("cd "), "ls"
        env = {
            "PATH": f"{bin_}:/usr/bin:/bin",
            "HOME": str(home),
            "KOHYA_PRESETS_HOME": str(home / "kp"),
            "FAKE_STATE": str(state),
            "PYTHONUTF8": "1",
            "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
            "HF_TOKEN": "hf_planted",
            "AWS_ACCESS_KEY_ID": "planted-id",
            "AWS_SECRET_ACCESS_KEY": "planted-secret",
        }
        run = line.replace("'~/", "~/'")  # which a shell fills in
        done = proc.run(["sh", "-c", run], env=env, cwd=at, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done

    return typed


@pytest.mark.parametrize(
    ("page", "heading"),
    [(README, "Rent a GPU"), (PAGE, "On Vast.ai, step by step")],
    ids=["README", "page"],
)
def test_on_vast(page: Path, heading: str, home: Path, tmp_path: Path, follow: Follow) -> None:
    seen: dict[str, str] = {}
    for line in commands(page, heading):
        text = line.text
        for word in line.needs:
            text = text.replace(word, seen[word])
        said = follow(text).stdout
        if offers := re.findall(r"^(\d+) ", said, re.MULTILINE):
            seen.setdefault("OFFER", offers[0])
        if rented := re.search(r"INSTANCE (\d+) is rented", said):
            seen["INSTANCE"] = rented[1]
    rent, machine = home / "rent-korra", tmp_path / "state" / "machine"
    assert (rent / "results" / "lora" / "korra.safetensors").read_bytes() == b"a LoRA"
    assert (rent / "results" / "report.html").read_text("utf-8") == "how it went"
    sent = unpack.unpack(machine / "workspace" / "pack.zip", tmp_path / "there")
    assert sent.name == "korra"
    assert (tmp_path / "there" / "data" / "2 é.txt").read_text("utf-8") == "korra"
    started = (machine / "workspace" / "start.sh").read_bytes()
    assert started == (rent / "start.sh").read_bytes()
    state = json.loads((tmp_path / "state" / "vast.json").read_text("utf-8"))
    assert state["tries"] > 2  # the machine was not ready at first
    assert state["rented"] is False  # and it is given back
    for file in rent.rglob("*"):
        if file.is_file():
            assert b"planted" not in file.read_bytes(), file


def test_on_several_clouds(home: Path, follow: Follow) -> None:
    lines = [*commands(PAGE, "On several clouds, with SkyPilot")]
    said = [follow(line.text).stdout for line in lines]
    launched = [text for line, text in zip(lines, said, strict=True) if "launch" in line.text]
    assert len(launched) == 1
    assert "chosen: " in launched[0]
    words = [line.text.split()[:2] for line in lines if line.text.startswith("sky ")]
    assert words == [["sky", "check"], ["sky", "launch"], ["sky", "logs"], ["sky", "down"]]
    for file in (home / "sky-korra").rglob("*"):
        if file.is_file():
            assert b"planted" not in file.read_bytes(), file


def test_a_step_that_is_left_out_or_misspelled_is_noticed(home: Path, follow: Follow) -> None:
    """Else following the chapters would tell nothing."""
    follow("vastai set api-key YOUR_KEY")
    for wrong in (
        "vastai create instance 20211707 --image x --disk 9",  # without an ssh key
        "vastai search offers 'gpu_ramm>=79'",
        "vastai search offers --no-such-word",
        "vastai ssh-url 34005512",  # which is not rented
        "sky lunch task.yaml",
        "sky launch --no-such-word",
        "pip install vest-ai",
    ):
        with pytest.raises(AssertionError):
            follow(wrong)
