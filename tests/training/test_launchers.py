"""What srun and mpirun tell their processes, in torch's terms."""

from __future__ import annotations

import pytest

from tlnlp.training.launchers import adopt_launcher, first_host, launch_command

# The ninth of 2 x 8 tasks, as srun starts it.
SRUN = {
    "SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "SLURM_PROCID": "8", "SLURM_LOCALID": "0", "SLURM_NODEID": "1",
    "SLURM_NTASKS": "16", "SLURM_STEP_NUM_TASKS": "16", "SLURM_STEP_TASKS_PER_NODE": "8(x2)",
    "SLURM_STEP_NODELIST": "gpu[007-008]",
}  # fmt: skip
OF_SRUN = {"RANK": "8", "WORLD_SIZE": "16", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "8", "MASTER_ADDR": "gpu007"}


def added(environment: dict[str, str]) -> dict[str, str]:
    told = dict(environment)
    adopt_launcher(told)
    return {name: value for name, value in told.items() if name not in environment}


def test_a_task_of_srun_knows_the_others() -> None:
    found = added(SRUN)
    assert 20_000 <= int(found.pop("MASTER_PORT")) < 40_000
    assert found == OF_SRUN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "12,4"}, {"LOCAL_WORLD_SIZE": "4"}),
        ({"SLURM_STEP_TASKS_PER_NODE": "16", "SLURM_NODEID": "0"}, {"MASTER_ADDR": "127.0.0.1"}),
        ({"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"}, {"RANK": "8"}),
    ],
)
def test_what_is_set_or_uneven_is_heeded(changes: dict[str, str], expected: dict[str, str]) -> None:
    found = added(SRUN | changes)
    assert found | expected == found
    assert not found.keys() & changes.keys()


def test_steps_of_a_job_use_other_ports() -> None:
    assert added(SRUN)["MASTER_PORT"] != added(SRUN | {"SLURM_STEP_ID": "1"})["MASTER_PORT"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        # torchrun under srun; a batch script outside of any step; a step of one task.
        SRUN | {"RANK": "3", "WORLD_SIZE": "4"},
        {name: value for name, value in SRUN.items() if "STEP" not in name},
        SRUN | {"SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_other_processes_are_left_alone(environment: dict[str, str]) -> None:
    assert added(environment) == {}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("node[007-010,012],login1", "node007"),
        ("gpu[3,5]-ib[0-1]", "gpu3-ib0"),
        ("127.0.0.[1-2]", "127.0.0.1"),
        ("rack-a[1-2].site.org,b", "rack-a1.site.org"),
    ],
)
def test_the_first_of_slurm_s_hosts_is_found(hosts: str, expected: str) -> None:
    assert first_host(hosts) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {
            "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
            "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
        },
        {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"},
        {"PMI_RANK": "1", "PMI_SIZE": "2"},
    ],
)  # fmt: skip
def test_a_process_of_mpirun_knows_the_others(environment: dict[str, str]) -> None:
    found = added(environment)
    assert (found["RANK"], found["WORLD_SIZE"], found["LOCAL_RANK"], found["LOCAL_WORLD_SIZE"]) == ("1", "2", "1", "2")
    assert added({name: value.replace("2", "1") for name, value in environment.items()} | {"PMI_SIZE": "1"}) == {}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "python"),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, "accelerate launch"),
        ({"ACCELERATE_MIXED_PRECISION": "no", "WORLD_SIZE": "8"}, "accelerate launch --num_processes 8"),
        ({"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, "torchrun --nproc_per_node 2"),
        ({"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}, "torchrun --nnodes 2 --nproc_per_node 8"),
        (SRUN | OF_SRUN, "srun python"),
        (SRUN | OF_SRUN | {"TORCHELASTIC_RUN_ID": "none"}, "torchrun --nnodes 2 --nproc_per_node 8"),
        ({"PMI_RANK": "1", "PMI_SIZE": "2", "WORLD_SIZE": "2"}, "mpirun -n 2 python"),
    ],
)
def test_the_command_that_goes_on_with_a_run_starts_as_many_processes(
    environment: dict[str, str], expected: str
) -> None:
    assert " ".join(launch_command(environment)) == expected
