"""Run in SkyPilot's own Python: is a task one that it takes, plans, and a cloud can carry out?

The argument is JSON: a list of pairs, a task's file and the clouds that are enabled. The catalogues
are planted here, with the names and prices that tests need: no network and no key. Prints what it
chooses for each, or why it refuses.
"""

import json
import pathlib
import sys

HOME = pathlib.Path.home() / ".sky" / "catalogs" / "v8"
HEAD = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice"
ANY = (1, 2, 4, 8)
# By cloud: the price of one, its memory in GB, and the machines with so many (or, where each number
# has its own type, how that is called).
OFFERED = {
    "vast": {
        "A100": (0.6, 40, ANY), "H100": (2.0, 80, ANY), "H200": (3.0, 141, ANY),
        "L40S": (0.7, 48, ANY), "RTXA6000": (0.5, 48, ANY), "RTX6000-Ada": (0.6, 48, ANY),
        "RTX4090": (0.4, 24, ANY), "RTX3090": (0.2, 24, ANY),
    },
    "runpod": {
        "A100-80GB": (1.6, 80, ANY), "H100-SXM": (2.7, 80, ANY), "H200-SXM": (3.6, 141, ANY),
        "L40S": (0.8, 48, ANY), "RTXA6000": (0.5, 48, ANY), "RTX6000-Ada": (0.8, 48, ANY),
        "RTX4090": (0.6, 24, ANY), "RTX3090": (0.4, 24, ANY),
    },
    "lambda": {
        "A6000": (1.1, 48, {1: "gpu_1x_a6000", 2: "gpu_2x_a6000", 4: "gpu_4x_a6000"}),
        "A100": (1.3, 40, {1: "gpu_1x_a100_sxm4", 4: "gpu_4x_a100"}),
        "A100-80GB": (2.8, 80, {8: "gpu_8x_a100_80gb_sxm4"}),
        "H100": (4.3, 80, {n: f"gpu_{n}x_h100_sxm5" for n in ANY}),
    },
    "aws": {
        "A100": (4.1, 40, {8: "p4d.24xlarge"}),
        "A100-80GB": (5.1, 80, {8: "p4de.24xlarge"}),
        "H100": (6.9, 80, {1: "p5.4xlarge", 8: "p5.48xlarge"}),
        "H200": (7.9, 141, {8: "p5en.48xlarge"}),
        "L40S": (1.9, 48, {1: "g6e.xlarge", 4: "g6e.12xlarge", 8: "g6e.48xlarge"}),
    },
    "gcp": {
        "A100": (3.7, 40, {n: f"a2-highgpu-{n}g" for n in ANY}),
        "A100-80GB": (5.1, 80, {n: f"a2-ultragpu-{n}g" for n in ANY}),
        "H100": (11.1, 80, {n: f"a3-highgpu-{n}g" for n in ANY}),
        "H200": (12.1, 141, {8: "a3-ultragpu-8g"}),
    },
    "azure": {
        "A100": (3.4, 40, {8: "Standard_ND96asr_v4"}),
        "A100-80GB": (3.7, 80, {
            1: "Standard_NC24ads_A100_v4", 2: "Standard_NC48ads_A100_v4",
            4: "Standard_NC96ads_A100_v4", 8: "Standard_ND96amsr_A100_v4",
        }),
        "H100": (7.0, 80, {
            1: "Standard_NC40ads_H100_v5", 2: "Standard_NC80adis_H100_v5",
            8: "Standard_ND96isr_H100_v5",
        }),
    },
}  # fmt: skip
NAMES = {"vast": "Vast", "runpod": "RunPod", "lambda": "Lambda", "aws": "AWS", "gcp": "GCP"}
NAMES["azure"] = "Azure"
PLACES = {  # a region, and a zone where the cloud's catalogue has that column
    "vast": ("US", None), "runpod": ("US", "US-KS-1"), "lambda": ("us-east-1", None),
    "aws": ("us-east-1", "us-east-1a"), "gcp": ("us-central1", "us-central1-a"),
    "azure": ("eastus", None),
}  # fmt: skip


def kind(cloud: str, name: str, count: int, types: object) -> str:
    """Return how a cloud calls its machine with so many GPUs."""
    if isinstance(types, dict):
        return types[count]
    return f"{count}x-{name}-16-65536" if cloud == "vast" else f"{count}x_{name}_SECURE"


def rows(cloud: str) -> "list[str]":
    """Return the lines of a cloud's catalogue."""
    region, zone = PLACES[cloud]
    found = [HEAD + ",Region" + ",AvailabilityZone" * (zone is not None)]
    tail = f",{region}" + ("" if zone is None else f",{zone}")
    for name, (price, gib, types) in OFFERED[cloud].items():
        memory = f"{{'SizeInMiB': {1024 * gib}}}"
        info = f"\"{{'Gpus': [{{'Name': '{name}', 'MemoryInfo': {memory}}}]}}\""
        for count in types:
            cost = f"{price * count},{'' if cloud == 'lambda' else price * count / 2}"
            type_ = kind(cloud, name, count, types)
            if cloud == "gcp":  # it has machines and GPUs in rows of their own
                found.append(f"{type_},,,16,64,,0.1,0.05{tail}")
                type_ = ""
            of = f"{name},{count},{'' if cloud == 'gcp' else '16'},{'' if cloud == 'gcp' else '64'}"
            found.append(f"{type_},{of},{info},{cost}{tail}")
    return found


def plant() -> None:
    """Write the catalogues."""
    for cloud, name in NAMES.items():
        (HOME / cloud).mkdir(parents=True, exist_ok=True)
        (HOME / cloud / "vms.csv").write_text("\n".join(rows(cloud)) + "\n")
        images = "Tag,Region,OS,OSVersion,ImageId,CreationDate"
        (HOME / cloud / "images.csv").write_text(f"{images}\nskypilot:x,,ubuntu,2204,{name},2024\n")
    (HOME / "common").mkdir(parents=True, exist_ok=True)
    known = sorted({name for table in OFFERED.values() for name in table})
    lines = [f"{name},{NAMES['vast']}" for name in known]
    (HOME / "common" / "accelerators.csv").write_text("\n".join(["AcceleratorName,Clouds", *lines]))
    lines = [f"{n},{one[1]}" for t in OFFERED.values() for n, one in t.items()]
    (HOME / "common" / "metadata.csv").write_text("\n".join(["GPU,MemoryGB", *lines]))


plant()

import sky  # noqa: E402
from sky import check, exceptions, optimizer  # noqa: E402
from sky import clouds as sky_clouds  # noqa: E402
from sky.utils import common as sky_common  # noqa: E402


def planned(file: str, clouds: list) -> dict:
    """Return the machine that SkyPilot chooses for a task, after all of its checks."""
    task = sky.Task.from_yaml(file)
    task.validate()
    enabled = [getattr(sky_clouds, NAMES[cloud])() for cloud in clouds]
    check.get_cached_enabled_clouds_or_refresh = lambda *_, **__: enabled
    with sky.Dag() as dag:
        dag.add(task)
    try:
        optimizer.Optimizer.optimize(dag, minimize=sky_common.OptimizeTarget.COST, quiet=True)
        best = task.best_resources
        needed = {*task.get_required_cloud_features(), *best.get_required_cloud_features()}
        best.cloud.check_features_are_supported(best, needed)
    except (exceptions.ResourcesUnavailableError, exceptions.NotSupportedError) as error:
        return {"refused": str(error)}
    return {
        "cloud": str(best.cloud).lower(),
        "type": best.instance_type,
        "gpu": best.accelerators,
        "spot": best.use_spot,
        "disk": best.disk_size,
        "nodes": task.num_nodes,
        "envs": dict(task.envs),
        "secrets": sorted(task.secrets),
    }


print(json.dumps([planned(file, clouds) for file, clouds in json.loads(sys.argv[1])]))
