from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wrapper.extraction import tool
from wrapper.extraction.tool import Site
from wrapper.system.launch import RUN_MARK

SITE = Site(Path("/sd scripts"), "/env/python", Path("/runs/korra ü"), Path("/runs/extract.log"))
BASE, TUNED, OUT = (Path(f"/models ü/{name} é.safetensors") for name in ("base", "korra", "lora"))


def test_an_extraction_names_its_files_and_options() -> None:
    launch = tool.of_checkpoint(BASE, TUNED, OUT, {"sdxl": True, "dim": [16, 32]}, SITE)
    script = str(Path("/sd scripts/networks/extract_lora_from_models.py"))
    assert launch.argv == (
        *("/env/python", script, f"--model_org={BASE}", f"--model_tuned={TUNED}"),
        *("--sdxl", "--dim", "16", "32", f"--save_to={OUT}"),
    )
    assert (launch.cwd, launch.log) == (SITE.scripts, SITE.log)
    assert launch.env[RUN_MARK] == str(SITE.mark)
    assert launch.env["PYTHONPATH"] == str(SITE.scripts)


def test_a_resizing_does_too() -> None:
    launch = tool.of_lora(TUNED, OUT, {"new_rank": 16}, SITE)
    assert launch.argv[2:] == (f"--model={TUNED}", "--new_rank=16", f"--save_to={OUT}")


def test_the_options_decide_on_the_device_before_the_machine() -> None:
    gpu = replace(SITE, device="cuda")
    assert "--device=cuda" in tool.of_lora(TUNED, OUT, {}, gpu).argv
    assert "--device=cuda" not in tool.of_lora(TUNED, OUT, {"device": "cpu"}, gpu).argv
    assert not [w for w in tool.of_lora(TUNED, OUT, {}, SITE).argv if w.startswith("--device")]


def test_a_script_in_front_runs_the_real_one() -> None:
    launch = tool.of_lora(TUNED, OUT, {}, replace(SITE, in_front=("/front.py",), env={"A": "1"}))
    assert launch.argv[:2] == ("/env/python", "/front.py")
    assert launch.env["A"] == "1"
