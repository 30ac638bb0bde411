"""How many threads a process computes with: launchers, shared and own cores, limits of containers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipe_runs import ROOT
from tlnlp.training.threads import Cores, asked_threads, count_threads, cpu_quota

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "2"}
ACCELERATE = {"ACCELERATE_MIXED_PRECISION": "no"}


@pytest.mark.parametrize(
    ("environment", "before", "expected"),
    [
        ({}, {}, None),
        ({"OMP_NUM_THREADS": "1"}, {}, 1),
        ({"OMP_NUM_THREADS": "3"}, {}, 3),
        ({"OMP_NUM_THREADS": "all"}, {}, None),
        ({"OMP_NUM_THREADS": "0"}, {}, None),
        # What the launchers set by themselves, and what a person has set before.
        ({"OMP_NUM_THREADS": "1", **TORCHRUN}, {}, None),
        ({"OMP_NUM_THREADS": "1", **TORCHRUN}, {"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "3", **TORCHRUN}, {}, 3),
        ({"OMP_NUM_THREADS": "1", **ACCELERATE}, {}, None),
        ({"OMP_NUM_THREADS": "1", **ACCELERATE}, {"OMP_NUM_THREADS": "1"}, 1),
        # A system that does not tell what the launcher was told.
        ({"OMP_NUM_THREADS": "1", **TORCHRUN}, None, None),
        # srun and mpirun set nothing.
        ({"OMP_NUM_THREADS": "1", "SLURM_PROCID": "0", "LOCAL_WORLD_SIZE": "2"}, None, 1),
    ],
)
def test_a_number_of_threads_counts_where_a_person_has_set_it(
    environment: dict[str, str], before: dict[str, str] | None, expected: int | None
) -> None:
    assert asked_threads(environment, before) == expected


def cores(numbers: range, quota: float | None = None, group: str = "", machine: str = "one") -> Cores:
    return Cores(machine, tuple(numbers), quota, group)


@pytest.mark.parametrize(
    ("asked", "own", "others", "expected"),
    [
        (None, cores(range(8)), [], 8),
        (3, cores(range(8)), [], 3),
        (64, cores(range(8)), [], 8),
        (None, cores(range(8)), [cores(range(8))], 4),
        (None, cores(range(8)), [cores(range(8))] * 15, 1),
        (None, cores(range(8)), [cores(range(8), machine="two")], 8),
        # srun, mpirun and taskset may give each process cores of its own.
        (None, cores(range(4)), [cores(range(4, 8))], 4),
        (None, cores(range(4)), [cores(range(2, 8))], 3),
        # Control groups: one of all processes, or one for each.
        (None, cores(range(8), 2.5), [], 2),
        (None, cores(range(8), 0.5), [], 1),
        (64, cores(range(8), 2.5), [], 2),
        (None, cores(range(8), 4.0), [cores(range(8), 4.0)], 2),
        (None, cores(range(8), 4.0, "a"), [cores(range(8), 4.0, "b")], 4),
    ],
)
def test_processes_of_a_machine_share_its_cores(
    asked: int | None, own: Cores, others: list[Cores], expected: int
) -> None:
    assert count_threads(asked, own, [own, *others]) == expected


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        # docker run --cpus 1.5
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        # The strictest of a group and of those above it: systemd, Kubernetes.
        (
            {
                "proc/self/cgroup": "0::/a.slice/b.scope\n",
                "sys/fs/cgroup/a.slice/b.scope/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a.slice/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        # Version 1, seen from a container: the path is that of the machine, the mount is the group.
        (
            {
                "proc/self/cgroup": "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_the_limit_of_a_container_is_found(files: dict[str, str], expected: float | None, tmp_path: Path) -> None:
    assert cpu_quota(write(tmp_path, files))[0] == expected


SAY = """
import os, torch
from tlnlp.training.distributed import start_accelerator
start_accelerator()
print("threads", torch.get_num_threads(), os.environ["OMP_NUM_THREADS"])
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux" or len(os.sched_getaffinity(0)) < 4, reason="wants 4 cores")
@pytest.mark.parametrize("set_by_hand", [True, False])
def test_torchrun_s_own_number_is_told_from_a_person_s(set_by_hand: bool, tmp_path: Path) -> None:
    (tmp_path / "say.py").write_text(SAY)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"OMP_NUM_THREADS": "1"} if set_by_hand else {})
    ended = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", tmp_path / "say.py"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    share = 1 if set_by_hand else len(os.sched_getaffinity(0)) // 2
    assert ended.stdout.count(f"threads {share} 1") == 2, ended.stdout
