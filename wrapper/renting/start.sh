#!/bin/sh
# Trains what `kohya-presets pack` packed, on any machine with a GPU. Written by kohya-presets.
#
#     sh start.sh korra.zip
#
# Start it again after a kill, a restart or on another machine: it goes on where it stopped.
# Everything is in one folder, KP_WORK. Use the same folder on each machine: a run knows its paths.
#
# Variables (all can be left out):
#   KP_WORK      the folder to work in                      [/workspace/kohya-presets, or in the home]
#   KP_BUCKET    where to keep the run: s3://BUCKET/FOLDER, or a folder that outlives this machine
#   KP_EVERY     seconds between two uploads                [300]
#   KP_AFTER     a command for the end, when all is done and uploaded: such as one that stops the GPU
#   KP_GPUS      how many GPUs of this machine train    [what the preset says, mostly 1]
#   KP_MACHINES  how many machines train together       [1]; if more than one:
#   KP_RANK      the number of this machine, from 0; number 0 keeps the run and uploads it
#   KP_MAIN      the address of number 0: HOST or HOST:PORT
#   KP_APT       "no": do not install missing programs with apt-get
#   KP_REHEARSE  "yes": rehearse on the CPU in place of training, to test this script
#   KP_STANDIN   "yes": rehearse without sd-scripts
#   KP_PYTHON    Python for sd-scripts                      [an environment that is created]
#   KOHYA_PRESETS_HOME, HF_HOME   folders of downloads      [in KP_WORK]
# Keys stay in variables that others read: HF_TOKEN, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
# AWS_ENDPOINT_URL (for R2, B2 and others), KOHYA_PRESETS_NOTIFY. None is written into a file.

set -eu
umask 077

say() { printf '%s start.sh: %s\n' "$(date -u +%H:%M:%S)" "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# A key that is set and empty would hide one that a program finds elsewhere.
for key in HF_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL KOHYA_PRESETS_NOTIFY; do
    if [ -z "$(printenv "$key" || true)" ]; then unset "$key"; fi
done

pack=${1:-}
if [ -z "${KP_WORK:-}" ]; then
    if [ -d /workspace ]; then KP_WORK=/workspace/kohya-presets; else KP_WORK=$HOME/kohya-presets; fi
fi
mkdir -p "$KP_WORK"
work=$(cd "$KP_WORK" && pwd -P)
bucket=${KP_BUCKET:-}
bucket=${bucket%/}
every=${KP_EVERY:-300}
gpus=${KP_GPUS:-}
machines=${KP_MACHINES:-1}
rank=0
if [ "$machines" != 1 ]; then
    rank=${KP_RANK:-}
    if [ -z "$rank" ] || [ -z "${KP_MAIN:-}" ]; then
        fail "with KP_MACHINES=$machines it needs KP_RANK, from 0, and KP_MAIN, the address of number 0"
    fi
fi
export KOHYA_PRESETS_HOME="${KOHYA_PRESETS_HOME:-$work/home}" HF_HOME="${HF_HOME:-$work/huggingface}"
export PYTHONUTF8=1
tool=$work/tool
job=$work/job
child='' uploader=''

# --- one at a time: a container's start command can run twice ---------------------------------

lock=$work/running
if ! mkdir "$lock" 2>/dev/null; then
    other=$(cat "$lock/pid" 2>/dev/null || echo none)
    case $other in *[!0-9]* | '') ;; *)
        # In a container that was started again, another process may have that number, or we.
        if [ "$other" != $$ ] && tr '\0' ' ' 2>/dev/null <"/proc/$other/cmdline" | grep -q start.sh; then
            fail "it is already running (process $other)"
        fi ;;
    esac
fi
echo $$ >"$lock/pid"

# --- what the machine lacks -------------------------------------------------------------------

find_python() {
    for name in python3.11 python3.10 python3.12 python3.13 python3; do
        if "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

lacks() {
    find_python >/dev/null || return 0
    command -v git >/dev/null || return 0
    # OpenCV, which sd-scripts imports, needs these two.
    for library in libGL.so.1 libgthread-2.0.so.0; do
        ldconfig -p 2>/dev/null | grep -q "$library" || return 0
    done
    return 1
}

if [ "${KP_APT:-yes}" != no ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] && lacks; then
    say "installing python3, git and two libraries"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends \
        python3 python3-venv git libgl1 libglib2.0-0 ca-certificates >/dev/null
fi
python=$(find_python) || fail "it needs Python 3.10 or newer with venv: apt-get install python3-venv"

# --- this program, at the version that made the pack ------------------------------------------

if [ -z "$pack" ] && [ ! -f "$job/pack.json" ]; then
    fail "give the pack: sh start.sh korra.zip"
fi
wheel=''
if [ -n "$pack" ] && [ -f "$pack" ]; then
    mkdir -p "$work/wheel"
    "$python" - "$pack" "$work/wheel" <<'PYTHON'
import pathlib, sys, zipfile

with zipfile.ZipFile(sys.argv[1]) as archive:
    for name in archive.namelist():
        if name.startswith("tool/") and name.endswith(".whl") and name.count("/") == 1:
            (pathlib.Path(sys.argv[2]) / name[5:]).write_bytes(archive.read(name))
PYTHON
    for wheel in "$work/wheel"/*.whl; do :; done
elif [ -f "$job/pack.json" ]; then
    for wheel in "$job/tool"/*.whl; do :; done
fi
[ -f "$wheel" ] || fail "there is no pack $pack, or it has no kohya-presets in it"
sum=$(cksum <"$wheel")
if [ "$(cat "$tool/installed" 2>/dev/null)" != "$sum" ]; then
    say "installing $(basename "$wheel")"
    rm -rf "$tool"
    "$python" -m venv "$tool"
    "$tool/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
    echo "$sum" >"$tool/installed"
fi
kp() { "$tool/bin/kohya-presets" "$@"; }
ask() { # a value of the pack's list
    "$tool/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1], encoding="utf-8"))[sys.argv[2]])' \
        "$job/pack.json" "$1"
}

# --- the images and settings ------------------------------------------------------------------

if [ ! -f "$job/pack.json" ]; then
    say "unpacking $pack"
    rmdir "$job" 2>/dev/null || true
    if ! kp unpack "$pack" --into "$job" --with-patches >"$work/unpack.txt" 2>&1; then
        cat "$work/unpack.txt" >&2
        fail "the pack cannot be unpacked"
    fi
fi
name=$(ask name)
release=$(ask release)
base=$(ask base)
data=$job/$(ask data)
if [ -f "$job/$base" ]; then base=$job/$base; fi
if [ "${KP_REHEARSE:-}" = yes ]; then name=rehearsal-$(ask preset); fi
run=$work/runs/$name
ln -sfn "$run" "$work/results" # a name without spaces, for downloads

# --- the bucket: explicit uploads, since many services can mount none -------------------------

aws() {
    if [ ! -x "$work/aws/bin/aws" ]; then
        "$python" -m venv "$work/aws"
        "$work/aws/bin/python" -m pip install --quiet --disable-pip-version-check awscli
    fi
    "$work/aws/bin/aws" "$@"
}

copy() { # FROM TO [--delete]: what is new, and with --delete what is no more
    case $bucket in
    s3://*) aws s3 sync "$1" "$2" --only-show-errors --no-follow-symlinks \
        --exclude 'work/*' --exclude '*.part' --exclude '*.part/*' ${3:+"$3"} ;;
    *)
        mkdir -p "$2"
        "$tool/bin/python" - "$1" "$2" "${3:-}" <<'PYTHON'
import os, pathlib, shutil, sys

source, target, delete = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]


def carried(at: pathlib.Path) -> bool:
    inside = at.parts
    return inside[0] != "work" and not any(part.endswith(".part") for part in inside)


def files(folder: pathlib.Path) -> dict:
    return {
        at.relative_to(folder): at
        for at in sorted(folder.rglob("*"))
        if at.is_file() and not at.is_symlink() and carried(at.relative_to(folder))
    }


here, there = files(source), files(target)
for name, file in here.items():
    to = target / name
    status = file.stat()
    if name in there and (to.stat().st_size, int(to.stat().st_mtime)) == (status.st_size, int(status.st_mtime)):
        continue
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(to.name + ".part")
    shutil.copy2(file, part)
    os.replace(part, to)
if delete:
    for name in there.keys() - here.keys():
        (target / name).unlink()
PYTHON
        ;;
    esac
}

save() { # first what is new, then away with what is no more: at least one state is always whole
    [ -n "$bucket" ] && [ "$rank" = 0 ] && [ -f "$run/run.toml" ] || return 0
    if copy "$run" "$bucket/$name" && copy "$run" "$bucket/$name" --delete; then
        return 0
    fi
    say "the upload to the bucket did not succeed; the next one tries again"
    return 1
}

trained() { # RUN: whether its training is finished
    "$tool/bin/python" -c 'import sys, tomlkit
with open(sys.argv[1], encoding="utf-8") as file:
    sys.exit(tomlkit.parse(file.read())["stage"]["train"]["state"] != "done")' "$1/run.toml"
}

trust=''
if [ -n "$bucket" ] && [ ! -f "$run/run.toml" ]; then
    say "looking for the run in the bucket"
    mkdir -p "$run.part"
    case $bucket in s3://*) found=yes ;; *) if [ -d "$bucket/$name" ]; then found=yes; else found=''; fi ;; esac
    if [ -n "$found" ]; then copy "$bucket/$name" "$run.part"; fi
    if [ "$machines" != 1 ] && [ -f "$run.part/run.toml" ] && ! trained "$run.part"; then
        say "machines that train together save no states: training begins again"
        rm -rf "$run.part"
    fi
    if [ -f "$run.part/run.toml" ]; then
        rm -rf "$run"
        mv "$run.part" "$run"
        touch "$work/from-bucket"
        say "the run of another machine is here: going on"
    else
        rm -rf "$run.part"
    fi
fi
if [ -f "$work/from-bucket" ]; then trust=--trust; fi
if [ "$rank" != 0 ] && [ -n "$trust" ]; then
    say "training is finished, and number 0 does the rest"
    rm -rf "$lock"
    exit 0
fi

# --- train, or go on --------------------------------------------------------------------------

stop() { # a machine that is taken back: the trainer saves its state first
    say "asked to stop"
    if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null || true; fi
}
trap stop TERM INT HUP

start() {
    cd "$work"
    set --
    if [ -n "${KP_PYTHON:-}" ]; then set -- --python "$KP_PYTHON"; fi
    if [ -f "$run/run.toml" ]; then
        say "going on with $name"
        rm -rf "$job/states" # which the run has by now
        if [ "${KP_REHEARSE:-}" != yes ]; then kp prepare "$run" || return; fi
        set -- resume "$run" ${trust:+"$trust"}
    elif [ "${KP_REHEARSE:-}" = yes ]; then
        say "rehearsing $name"
        if [ "${KP_STANDIN:-}" = yes ]; then set -- "$@" --standin; else set -- "$@" --release "$release"; fi
        set -- rehearse "$job/preset.toml" --data "$data" --runs "$work/runs" "$@"
    else
        say "training $name"
        if [ -d "$job/states" ]; then set -- "$@" --states "$job/states"; fi
        set -- train "$job/preset.toml" --data "$data" --base "$base" --name "$name" \
            --runs "$work/runs" --release "$release" "$@"
        if [ -n "$gpus" ]; then set -- "$@" --gpus "$gpus"; fi
        if [ "$machines" != 1 ]; then
            set -- "$@" --machines "$machines" --machine-rank "$rank" --main-address "$KP_MAIN"
        fi
    fi
    exec "$tool/bin/kohya-presets" "$@"
}

if [ -n "$bucket" ]; then
    (
        trap - INT HUP
        ending=''
        trap 'ending=yes' TERM # after an upload that goes on: never two at once
        waited=0
        while [ -z "$ending" ] && kill -0 $$ 2>/dev/null; do # not longer than this script
            sleep 1
            waited=$((waited + 1))
            if [ "$waited" -ge "$every" ]; then
                save || true
                waited=0
            fi
        done
    ) &
    uploader=$!
fi

(trap - TERM INT HUP; start) &
child=$!
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do # a signal ended the wait, and not the training
    code=0
    wait "$child" || code=$?
done
if [ -n "$uploader" ]; then
    kill "$uploader" 2>/dev/null || true
    wait "$uploader" 2>/dev/null || true
fi
if [ "$code" = 6 ] && [ "${KP_STANDIN:-}" = yes ]; then code=0; fi # the stand-in did well
save || if [ "$code" = 0 ]; then code=1; fi
rm -rf "$lock"
if [ "$code" != 0 ]; then
    say "ended with code $code; start it again to go on"
    exit "$code"
fi
say "done: $run/lora"
if [ -n "${KP_AFTER:-}" ]; then sh -c "$KP_AFTER"; fi
