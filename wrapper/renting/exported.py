"""Files for services that rent GPUs: commands, a task, an image recipe, and the start script.

Nothing in them is of this machine, and no key: only names of variables.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from kohya_presets.errors import UserError
from kohya_presets.problems import listed
from wrapper.renting.order import Order

START, PACK = "start.sh", "pack.zip"
SERVICES = Path(__file__).parent / "services"
WORK = "/workspace/kohya-presets"
SKY_WORK = "/opt/kohya-presets"  # the same on every cloud, whatever the user is called there
IMAGE = "nvidia/cuda:12.4.1-base-ubuntu22.04"  # torch brings its own CUDA
RUNPOD_IMAGE = "runpod/pytorch:2.4.0-py3.11-cuda12.4.1-devel-ubuntu22.04"  # it has an ssh server
CLOUDS = ("vast", "runpod", "aws")  # of SkyPilot, whose names of GPUs we know
KEYS = (
    "HF_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL",
    "KOHYA_PRESETS_NOTIFY",
)


def start_script() -> str:
    """Return the script that trains a pack on any machine."""
    return (Path(__file__).parent / START).read_text(encoding="utf-8")


def vast(order: Order) -> dict[str, str]:
    """Return the files for Vast.ai's own command line."""
    return {
        "vast.sh": _filled("vast.sh.jinja", order, query=vast_query(order)),
        "onstart.sh": _filled("onstart.sh.jinja", order),
    }


def vast_query(order: Order) -> str:
    """Return a query for `vastai search offers`: a machine that is enough, and not too dear.

    Vast lists A100s of 40 and of 80 GB under one name: `gpu_ram` alone keeps the smaller ones out.
    """
    words = [
        "gpu_arch=nvidia",
        "compute_cap>=800",  # Ampere and newer
        "num_gpus=1",
        f"gpu_ram>={order.vast_ram}",
        f"disk_space>={order.disk}",
        f"cuda_vers>={order.cuda}",
        "reliability>0.98",
        "inet_down>=200",
        "inet_up>=100" if order.bucket else "inet_up>=20",
    ]
    if order.is_chosen:
        (gpu,) = order.gpus
        one = f"={gpu.vast[0]}" if len(gpu.vast) == 1 else f" in [{','.join(gpu.vast)}]"
        words.append(f"gpu_name{one}")
    if order.price is not None:
        words.append(f"dph<={order.price:g}")
    return " ".join(words)


def runpod(order: Order) -> dict[str, str]:
    """Return the files for RunPod's own command line; it rents no interruptible machines."""
    return {"runpod.sh": _filled("runpod.sh.jinja", order, image=RUNPOD_IMAGE)}


def docker(order: Order) -> dict[str, str]:
    """Return an image recipe, and the commands for a machine with Docker and a GPU."""
    return {
        "Dockerfile": _filled("Dockerfile.jinja", order),
        "docker.sh": _filled("docker.sh.jinja", order),
    }


def sky(order: Order, wanted: Sequence[str]) -> dict[str, str]:
    """Return a task for SkyPilot, on any of the `wanted` clouds.

    Raises:
        UserError: there is no bucket, or no GPU that is large enough has a sure name on one of the
            clouds.
    """
    if order.bucket is None:
        raise UserError(
            "SkyPilot gives a machine back when it is done, with all that is on it",
            hint="Give a bucket for the states and the LoRA: --bucket s3://NAME/FOLDER.",
        )
    choices = [
        {"infra": cloud, "accelerators": f"{gpu.sky[cloud]}:1"}
        for gpu in order.gpus
        for cloud in wanted
        if cloud in gpu.sky
    ]
    for cloud in wanted:
        if not any(choice["infra"] == cloud for choice in choices):
            names = listed(gpu.name for gpu in order.gpus)
            hint = "Choose another cloud or GPU."
            if cloud == "vast":
                hint = "On Vast, SkyPilot's A100 may have 40 GB. Use `export vast`, or an H100."
            raise UserError(f"SkyPilot has no {names} on {cloud} that is sure to fit", hint=hint)
    return {"task.yaml": _filled("task.yaml.jinja", order, choices=choices, work=SKY_WORK)}


def clouds(order: Order) -> tuple[str, ...]:
    """Return the clouds of SkyPilot that have one of the order's GPUs, by a name that is sure."""
    return tuple(cloud for cloud in CLOUDS if any(cloud in gpu.sky for gpu in order.gpus))


def _filled(template: str, order: Order, **more: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SERVICES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    environment.filters["yaml"] = lambda value: json.dumps(value, ensure_ascii=False)
    values = {"order": order, "image": IMAGE, "work": WORK, "keys": KEYS, "pack": PACK, **more}
    return environment.get_template(template).render(values)
