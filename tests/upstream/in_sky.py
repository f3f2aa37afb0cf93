"""Run in SkyPilot's own Python: is a task one that it takes, plans, and a cloud can carry out?

The argument is JSON: a list of pairs, a task's file and the clouds that are enabled. The catalogues
are planted here, with the names and prices that tests need: no network and no key. Prints what it
chooses for each.
"""

import json
import pathlib
import sys

HOME = pathlib.Path.home() / ".sky" / "catalogs" / "v8"
HEAD = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice"
OFFERED = {
    "vast": {
        "A100": (0.6, 40), "H100": (2.0, 80), "H200": (3.0, 141), "L40S": (0.7, 48),
        "RTXA6000": (0.5, 48), "RTX6000-Ada": (0.6, 48), "RTX4090": (0.4, 24), "RTX3090": (0.2, 24),
    },
    "runpod": {
        "A100-80GB": (1.6, 80), "H100-SXM": (2.7, 80), "H200-SXM": (3.6, 141), "L40S": (0.8, 48),
        "RTXA6000": (0.5, 48), "RTX6000-Ada": (0.8, 48), "RTX4090": (0.6, 24), "RTX3090": (0.4, 24),
    },
    "aws": {"H100": (6.9, 80), "L40S": (1.9, 48)},
}  # fmt: skip
NAMES = {"vast": "Vast", "runpod": "RunPod", "aws": "AWS"}


def plant() -> None:
    """Write the catalogues."""
    (HOME / "common").mkdir(parents=True, exist_ok=True)
    known = sorted({name for table in OFFERED.values() for name in table})
    rows = [f"{name},{NAMES['vast']}" for name in known]
    (HOME / "common" / "accelerators.csv").write_text("\n".join(["AcceleratorName,Clouds", *rows]))
    rows = ["GPU,MemoryGB"] + [f"{n},{g}" for t in OFFERED.values() for n, (_, g) in t.items()]
    (HOME / "common" / "metadata.csv").write_text("\n".join(rows))
    for cloud, table in OFFERED.items():
        region = {"vast": "US", "runpod": "US", "aws": "us-east-1"}[cloud]
        has_zones = cloud != "vast"
        rows = [HEAD + ",Region" + ",AvailabilityZone" * has_zones]
        for name, (price, _) in table.items():
            kind = f"1x-{name}-16-65536" if cloud == "vast" else f"1x_{name}_SECURE"
            if cloud == "aws":
                kind = {"H100": "p5.4xlarge", "L40S": "g6e.xlarge"}[name]
            zone = "us-east-1a" if cloud == "aws" else ("US-KS-1" if cloud == "runpod" else "")
            row = f"{kind},{name},1,16,64,,{price},{price / 2},{region}"
            rows.append(f"{row},{zone}" if has_zones else row)
        (HOME / cloud).mkdir(parents=True, exist_ok=True)
        (HOME / cloud / "vms.csv").write_text("\n".join(rows) + "\n")


plant()

import sky  # noqa: E402
from sky import check, optimizer  # noqa: E402
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
    optimizer.Optimizer.optimize(dag, minimize=sky_common.OptimizeTarget.COST, quiet=True)
    best = task.best_resources
    needed = {*task.get_required_cloud_features(), *best.get_required_cloud_features()}
    best.cloud.check_features_are_supported(best, needed)
    return {
        "cloud": str(best.cloud).lower(),
        "gpu": best.accelerators,
        "spot": best.use_spot,
        "disk": best.disk_size,
        "envs": dict(task.envs),
        "secrets": sorted(task.secrets),
    }


print(json.dumps([planned(file, clouds) for file, clouds in json.loads(sys.argv[1])]))
