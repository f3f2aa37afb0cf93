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
from kohya_presets.renting import gpus
from kohya_presets.renting.gpus import Gpu
from wrapper.renting.order import Order

START, PACK = "start.sh", "pack.zip"
SERVICES = Path(__file__).parent / "services"
WORK = "/workspace/kohya-presets"
SKY_WORK = "/opt/kohya-presets"  # the same on every cloud, whatever the user is called there
IMAGE = "nvidia/cuda:12.4.1-base-ubuntu22.04"  # torch brings its own CUDA
RUNPOD_IMAGE = "runpod/pytorch:2.4.0-py3.11-cuda12.4.1-devel-ubuntu22.04"  # it has an ssh server
ALONE = ("vast", "runpod")  # where machines have no network among themselves
NOT_SPOT = ("lambda",)  # where SkyPilot rents no interruptible machines
ANY_PRICE = ("gcp",)  # where SkyPilot 0.14 does not compare a GPU's price with max_hourly_cost
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
    """Return the files for Vast.ai's own command line.

    Raises:
        UserError: several machines are asked for.
    """
    _require_one(order, "Vast.ai")
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
        f"num_gpus={order.count}",
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
    """Return the files for RunPod's own command line; it rents no interruptible machines.

    Raises:
        UserError: several machines are asked for.
    """
    _require_one(order, "RunPod")
    return {"runpod.sh": _filled("runpod.sh.jinja", order, image=RUNPOD_IMAGE)}


def docker(order: Order) -> dict[str, str]:
    """Return an image recipe, and the commands for a machine with Docker and a GPU."""
    return {
        "Dockerfile": _filled("Dockerfile.jinja", order),
        "docker.sh": _filled("docker.sh.jinja", order),
    }


def sky(order: Order, wanted: Sequence[str] = ()) -> dict[str, str]:
    """Return a task for SkyPilot, on any of the `wanted` clouds; without, on each that has it.

    Raises:
        UserError: there is no bucket, a cloud has no network between machines, or none of the GPUs
            that are large enough has a sure name there, in machines with so many.
    """
    if order.bucket is None:
        raise UserError(
            "SkyPilot gives a machine back when it is done, with all that is on it",
            hint="Give a bucket for the states and the LoRA: --bucket s3://NAME/FOLDER.",
        )
    for cloud in wanted:
        _require_had(order, cloud)
    if not (wanted or clouds(order)):
        each = f"{order.machines} machines" if order.machines > 1 else "a machine"
        raise UserError(
            f"SkyPilot has no cloud with {each} with {order.count} of {_names(order)}",
            hint="Choose 1, 2, 4 or 8 with --gpus, or another GPU.",
        )
    choices = [
        {
            "infra": cloud,
            "accelerators": f"{gpu.sky[cloud].name}:{order.count}",
            "always": order.spot and cloud in NOT_SPOT,
        }
        for gpu in order.gpus
        for cloud in wanted or clouds(order)
        if _has(gpu, cloud, order.count)
    ]
    return {"task.yaml": _filled("task.yaml.jinja", order, choices=choices, work=SKY_WORK)}


def clouds(order: Order) -> tuple[str, ...]:
    """Return the clouds of SkyPilot that have such machines, by a name that is sure."""
    return tuple(
        cloud
        for cloud in gpus.CLOUDS
        if any(_has(gpu, cloud, order.count) for gpu in order.gpus)
        and not (order.machines > 1 and cloud in ALONE)
        and not (order.price is not None and cloud in ANY_PRICE)
    )


def _names(order: Order) -> str:
    return " or ".join(gpu.name for gpu in order.gpus)


def _has(gpu: Gpu, cloud: str, count: int) -> bool:
    return cloud in gpu.sky and gpu.sky[cloud].has(count)


def _require_one(order: Order, service: str) -> None:
    if order.machines > 1:
        raise UserError(
            f"machines of {service} have no network among themselves, so they cannot train as one",
            hint="Rent one machine with more GPUs: --gpus N. Or take a large cloud: `export sky`.",
        )


def _require_had(order: Order, cloud: str) -> None:
    """Raise UserError with the reason if SkyPilot has no such machines on a cloud."""
    if order.machines > 1 and cloud in ALONE:
        others = listed(name for name in gpus.CLOUDS if name not in ALONE)
        raise UserError(
            f"SkyPilot rents no machines on {cloud} that have a network among themselves",
            hint=f"Rent one machine with more GPUs (--gpus N), or choose {others} with --cloud.",
        )
    if order.price is not None and cloud in ANY_PRICE:
        raise UserError(
            f"SkyPilot does not keep to a highest price on {cloud}",
            hint="Leave out --price, or choose other clouds with --cloud.",
        )
    if any(_has(gpu, cloud, order.count) for gpu in order.gpus):
        return
    names = _names(order)
    there = {gpu.name: gpu.sky[cloud] for gpu in order.gpus if cloud in gpu.sky}
    if there:
        by = listed(f"{name} by {' or '.join(map(str, one.by))}" for name, one in there.items())
        raise UserError(
            f"SkyPilot has no machine with {order.count} of {names} on {cloud}",
            hint=f"It has {by}. Choose --gpus so, or another cloud.",
        )
    hint = "Choose another cloud or GPU."
    if cloud == "vast":
        hint = "On Vast, SkyPilot's A100 may have 40 GB. Use `export vast`, or an H100."
    raise UserError(f"SkyPilot has no {names} on {cloud} that is sure to fit", hint=hint)


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
