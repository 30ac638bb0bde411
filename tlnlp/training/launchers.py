"""What launchers tell their processes: srun's and mpirun's variables in torch's terms, and advice on how several
processes are started."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping

# (rank, size, rank on its machine, size there): Open MPI, then MPICH and Intel MPI.
MPI = (
    (
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)  # fmt: skip
# The port of torchrun, where nobody has chosen another.
PORT = 29500


def adopt_launcher(environment: MutableMapping[str, str]) -> None:
    """Adds torch's variables (RANK, WORLD_SIZE, ...) to the environment of a process that srun or mpirun has started,
    unless another launcher (torchrun) has set them."""
    if "RANK" in environment or "WORLD_SIZE" in environment:
        return
    for name, value in (_of_slurm(environment) or _of_mpi(environment)).items():
        environment.setdefault(name, value)


def _of_slurm(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns torch's variables for a task of a job step; nothing outside of one: a batch script has a rank too, but
    nobody beside it.

    Source: https://slurm.schedmd.com/srun.html, output environment variables.
    """
    processes = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if processes == 1 or "SLURM_PROCID" not in environment:
        return {}
    hosts = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_NODELIST", "")
    on_each = _tasks_of_nodes(environment.get("SLURM_STEP_TASKS_PER_NODE") or str(processes))
    # Steps that run at the same time need other ports.
    number = 31 * int(environment.get("SLURM_JOB_ID", "0")) + int(environment.get("SLURM_STEP_ID", "0"))
    return {
        "RANK": environment["SLURM_PROCID"],
        "WORLD_SIZE": str(processes),
        "LOCAL_RANK": environment.get("SLURM_LOCALID", "0"),
        "LOCAL_WORLD_SIZE": str(on_each[int(environment.get("SLURM_NODEID", "0"))]),
        "MASTER_ADDR": "127.0.0.1" if len(on_each) == 1 else first_host(hosts),
        "MASTER_PORT": str(20_000 + number % 20_000),
    }


def _tasks_of_nodes(text: str) -> list[int]:
    """Returns the number of tasks of each node from "8(x2),4": 8, 8, 4."""
    parts = [re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part) for part in text.split(",")]
    return [int(part[1]) for part in parts if part for _ in range(int(part[2] or 1))]


def first_host(hosts: str) -> str:
    """Returns the first of Slurm's list of hosts: node007 for node[007-010,012]-ib,login1 is node007-ib."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", hosts)
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", first[0]) if first else "127.0.0.1"


def _of_mpi(environment: Mapping[str, str]) -> dict[str, str]:
    for rank, processes, local_rank, local_processes in MPI:
        if int(environment.get(processes, "1")) > 1 and rank in environment:
            return {
                "RANK": environment[rank],
                "WORLD_SIZE": environment[processes],
                "LOCAL_RANK": environment.get(local_rank, environment[rank]),
                "LOCAL_WORLD_SIZE": environment.get(local_processes, environment[processes]),
                # Of the first machine; `mpirun -x MASTER_ADDR=...` names another one.
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(PORT),
            }
    return {}


def launch_command(environment: Mapping[str, str]) -> list[str]:
    """Returns the words that start a program in as many processes as this environment tells of."""
    processes, on_each = (environment.get(name, "1") for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    several = processes != "1"
    if "ACCELERATE_MIXED_PRECISION" in environment:  # always set by `accelerate launch`
        return ["accelerate", "launch", *(["--num_processes", processes] if several else [])]
    if several and "TORCHELASTIC_RUN_ID" not in environment:
        if _of_slurm(environment):
            return ["srun", "python"]
        if _of_mpi(environment):
            return ["mpirun", "-n", processes, "python"]
    if not several:
        return ["python"]
    nodes = -(-int(processes) // int(on_each))
    return ["torchrun", *(["--nnodes", str(nodes)] if nodes > 1 else []), "--nproc_per_node", on_each]


def advice_on_processes(environment: Mapping[str, str]) -> str | None:
    """Returns what starts several processes on CPUs, where `accelerate launch` was asked for several and started one:
    it does so unless it has a list of hosts for mpirun, and does not say it."""
    if "MASTER_ADDR" not in environment or "WORLD_SIZE" in environment:
        return None
    return (
        "this is one process: on CPUs, accelerate launch starts several only with MPI (--mpirun_hostfile FILE); "
        "without it: torchrun --nproc_per_node 2 recipes/..."
    )
