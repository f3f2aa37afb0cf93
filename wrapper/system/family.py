"""Processes that belong together: who started whom, and who is in a process group."""

from __future__ import annotations

import os

import psutil


def of(number: int) -> list[psutil.Process]:
    """Return the process of this number with all that it has started; none if it has ended."""
    try:
        leader = psutil.Process(number)
    except psutil.Error:
        return []
    return [leader, *children(leader)]


def children(process: psutil.Process) -> list[psutil.Process]:
    """Return what a process has started, and what that has started."""
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def leaders(processes: list[psutil.Process]) -> set[int]:
    """Return the numbers of those that none of the others has started."""
    numbers = {process.pid for process in processes}
    found = set()
    for process in processes:
        try:
            parent = process.ppid()
        except psutil.Error:
            continue
        found |= {process.pid} if parent not in numbers else set()
    return found


def members(group: int) -> list[psutil.Process]:
    """Return the living processes of a process group; none on Windows, which has no such groups.

    Unlike children they are found also where the one that started them is dead.
    """
    if not hasattr(os, "getpgid"):
        return []
    return [process for process in psutil.process_iter() if _lives_in(process, group)]


def _lives_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False
