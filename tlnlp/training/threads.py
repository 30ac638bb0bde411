"""The number of threads of a process: what the user asks for, or a share of the cores that it may use."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# Variables that launchers give to their processes. These launchers set OMP_NUM_THREADS to 1, unless it is set.
LAUNCHED = ("TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION")


@dataclass(frozen=True)
class Cores:
    """The processor time that a process may use.

    Args:
        machine: processes with the same one share cores.
        cores: the cores that the scheduler may give it.
        quota: the number of cores that its control group may use at a time; None if there is no limit.
        group: the control group.
    """

    machine: str
    cores: tuple[int, ...]
    quota: float | None = None
    group: str = ""

    @classmethod
    def of_this_process(cls) -> Cores:
        """Returns those of this process; only Linux reports them."""
        count = os.cpu_count() or 1
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(count)
        quota, group = cpu_quota()
        return cls(machine_id(), tuple(sorted(cores)), quota, group + _namespace("cgroup"))


def count_threads(asked: int | None, own: Cores, everyone: Sequence[Cores]) -> int:
    """Returns the number of threads: the one asked for, or the share of the cores, of which processes of a machine may
    have the same or each its own; never more than there are cores. With more threads than cores, small operations wait
    for threads that are not running.

    Args:
        everyone: of all processes of the run, this one included.
    """
    mates = [each for each in everyone if each.machine == own.machine]
    most = float(len(own.cores)) if own.quota is None else min(float(len(own.cores)), own.quota)
    if asked is not None:
        return max(1, min(asked, int(most)))
    users = Counter(core for each in mates for core in each.cores)
    share = sum(1 / users[core] for core in own.cores)
    if own.quota is not None:
        share = min(share, own.quota / sum(each.group == own.group for each in mates))
    return max(1, int(share + 1e-9))


def asked_threads(environment: Mapping[str, str], before: Mapping[str, str] | None) -> int | None:
    """Returns the number of threads in OMP_NUM_THREADS, if the user has set it.

    Args:
        environment: of this process.
        before: of the launcher, which has what the user has set; None if it cannot be read: a 1 is taken for the
            launcher's own.
    """
    asked = environment.get("OMP_NUM_THREADS", "")
    if not asked.isdecimal() or int(asked) == 0:
        return None
    is_launchers = asked == "1" and any(name in environment for name in LAUNCHED)
    if is_launchers and (before is None or "OMP_NUM_THREADS" not in before):
        return None
    return int(asked)


def environment_of_launcher() -> Mapping[str, str] | None:
    """Returns the environment in which the launcher was started: that of the nearest process above this one that no
    launcher has started; None if it cannot be read."""
    with contextlib.suppress(psutil.Error, OSError):
        for parent in psutil.Process().parents():
            environment = parent.environ()
            if not any(name in environment for name in LAUNCHED):
                return environment
    return None


def machine_id() -> str:
    """Returns what all processes and containers of a machine share, and no other machine has."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()


def machine_and_pids() -> str:
    """Returns what processes share that see each other by their pids: not those of other containers."""
    return machine_id() + _namespace("pid")


def _namespace(kind: str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/self/ns/{kind}")
    return ""


def cpu_quota(root: Path = Path("/")) -> tuple[float | None, str]:
    """Returns the number of cores that the control group of this process may use at a time (None without a limit), and
    the group. Containers and batch systems limit by quota; the affinity still shows all cores of the machine.

    Args:
        root: where /proc and /sys are.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return None, ""
    groups = [line.split(":", 2) for line in lines]
    limits: list[float] = []
    for _, controllers, path in groups:
        if controllers == "" or "cpu" in controllers.split(","):
            for folder in _folders(root / "sys/fs/cgroup", controllers, path):
                limits += _limit(folder)
    return min(limits, default=None), "\n".join(lines)


def _folders(mount: Path, controllers: str, path: str) -> list[Path]:
    """Returns the folders of a group and of all above it, whose limits hold for it too. In a container the group may be
    the mount itself, whatever its path outside."""
    mount = mount / controllers if controllers else mount
    folder = mount / path.strip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))]


def _limit(folder: Path) -> list[float]:
    """Returns the limit of one folder, in version 2 or 1 of control groups; nothing if there is none."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return [] if quota == "max" else [int(quota) / int(period)]
    with contextlib.suppress(OSError, ValueError):
        quota = (folder / "cpu.cfs_quota_us").read_text()
        period = (folder / "cpu.cfs_period_us").read_text()
        return [int(quota) / int(period)] if int(quota) > 0 else []
    return []
