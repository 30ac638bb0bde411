"""The files in launch/, and what launchers do: each is started here as far as a machine without GPUs can."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from tests.recipe_runs import ROOT, Ended, newest_update, run_recipe
from tests.training.test_distributed import TWO_THREADS, assert_same_answers

LAUNCH = ROOT / "launch"
LIMIT_SECONDS = 500.0

# What Slurm's srun would do with a step of two tasks on two nodes; SIGTERM reaches the tasks.
SRUN = """#!/bin/bash
echo "$@" > "$SLURM_FAKE/asked"
while [[ "$1" == --* ]]; do shift; done
for task in 0 1; do
    SLURM_PROCID=$task SLURM_LOCALID=0 SLURM_NODEID=$task SLURM_STEP_ID=0 SLURM_NTASKS=2 SLURM_STEP_NUM_TASKS=2 \
        SLURM_STEP_TASKS_PER_NODE="1(x2)" SLURM_STEP_NODELIST="127.0.0.[1-2]" "$@" &
    tasks[$task]=$!
done
echo "${tasks[@]}" > "$SLURM_FAKE/tasks"
status=0
for task in "${tasks[@]}"; do wait "$task" || status=$?; done
exit $status
"""
SCONTROL = """#!/bin/bash
echo "$@" > "$SLURM_FAKE/controlled"
"""


@pytest.fixture(scope="module")
def flags(bert: Path, reviews: Path) -> list[str]:
    flags = ["--model", bert, "--data", reviews, "--max-length", 32, "--batch-size", 16, "--epochs", 12,
             "--learning-rate", 1e-2, "--no-report", "--save-every", 2]  # fmt: skip
    return list(map(str, flags))


@pytest.fixture(scope="module")
def whole(flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The run in two processes that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return run_recipe("sst2", *flags, folder=folder, processes=2, environment=TWO_THREADS)


def environment(**more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | TWO_THREADS | {"PATH": path, "PYTHONPATH": str(ROOT)} | more


def start(command: list[str], log: Path, **more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=ROOT, env=environment(**more), stdout=log.open("wb"), stderr=subprocess.STDOUT)


def end(*started: subprocess.Popen[bytes]) -> list[int]:
    """Exit statuses; what hangs is killed with its children, and the test fails."""
    until = time.monotonic() + LIMIT_SECONDS
    try:
        return [each.wait(max(0.0, until - time.monotonic())) for each in started]
    finally:
        for each in started:
            if each.poll() is None:
                for child in psutil.Process(each.pid).children(recursive=True):
                    child.kill()
                each.kill()


def wait_for_update(folder: Path, number: int, started: subprocess.Popen[bytes]) -> None:
    while newest_update(folder) < number and started.poll() is None:
        time.sleep(0.005)


def workers(started: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that a launcher has started."""
    children = psutil.Process(started.pid).children(recursive=True)
    return [each for each in children if "recipes/sst2.py" in each.cmdline()]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def torchrun(*options: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", *options]


# --- torchrun starts what was killed again


@pytest.mark.long
def test_torchrun_starts_killed_processes_again_and_the_result_is_the_same(
    flags: list[str], whole: Ended, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    running = start(
        [*torchrun("--standalone", "--nproc_per_node", "2", "--max-restarts", "2"), "recipes/sst2.py", *flags,
         "--resume", "--output-dir", str(folder)], tmp_path / "log",
    )  # fmt: skip
    wait_for_update(folder, 4, running)
    workers(running)[1].send_signal(signal.SIGKILL)
    status = end(running)
    output = (tmp_path / "log").read_text()
    ended = Ended(status[0], output, folder)
    assert ended.status == 0, output
    assert ended.result["resumed"] == 1
    assert ended.weights == whole.weights
    assert ended.predictions == whole.predictions
    assert output.count("The run ends here: process 1 on ") == 1


@pytest.mark.long
def test_two_agents_of_torchrun_share_a_training_and_go_on_together(
    flags: list[str], whole: Ended, tmp_path: Path
) -> None:
    """Each machine is started by itself; a worker of the second is killed."""
    port = free_port()

    def agent(rank: int) -> list[str]:
        options = ["--nnodes", "2", "--node_rank", str(rank), "--nproc_per_node", "1", "--master_addr", "127.0.0.1"]
        options += ["--master_port", port, "--max-restarts", "2"]
        own = tmp_path / f"machine{rank}" / "run"
        return [*torchrun(*options), "recipes/sst2.py", *flags, "--resume", "--output-dir", str(own)]

    agents = [start(agent(rank), tmp_path / f"log{rank}") for rank in (0, 1)]
    folder = tmp_path / "machine0" / "run"
    wait_for_update(folder, 4, agents[0])
    workers(agents[1])[0].send_signal(signal.SIGKILL)
    statuses = end(*agents)
    output = "".join((tmp_path / f"log{rank}").read_text() for rank in (0, 1))
    assert statuses == [0, 0], output
    ended = Ended(0, output, folder)
    assert ended.result["resumed"] == 1
    assert "not shared by all processes" in output
    assert ended.weights == whole.weights


# --- MPI

MPIRUN = ["mpirun", "-n", "2", "python"]
ACCELERATE = ["accelerate", "launch", "--num_processes", "2", "--num_machines", "1", "--cpu", "--mpirun_hostfile"]


@pytest.mark.long
@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no MPI")
@pytest.mark.parametrize("way", ["mpirun", "accelerate"])
def test_mpi_starts_processes_that_share_a_training(way: str, flags: list[str], whole: Ended, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1:2\n")
    command = MPIRUN if way == "mpirun" else [*ACCELERATE, str(tmp_path / "hosts")]
    running = start([*command, "recipes/sst2.py", *flags, "--output-dir", str(tmp_path / "run")], tmp_path / "log")
    status = end(running)
    ended = Ended(status[0], (tmp_path / "log").read_text(), tmp_path / "run")
    assert ended.result["processes"] == 2
    assert_same_answers(ended, whole)


# --- Slurm


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a batch script, with commands in place of Slurm's."""
    fake = tmp_path / "slurm"
    fake.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (fake / name).write_text(text)
        (fake / name).chmod(0o755)
    path = f"{fake}{os.pathsep}{environment()['PATH']}"
    # What a batch script has itself: it must not be taken for a task.
    return {"PATH": path, "SLURM_FAKE": str(fake), "SLURM_JOB_ID": free_port(), "SLURM_PROCID": "0"}


def test_the_batch_script_has_slurm_s_options_and_is_a_script() -> None:
    text = (LAUNCH / "two_nodes.sbatch").read_text()
    options = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2] for line in text.splitlines() if "#SBATCH" in line
    )
    assert (options["nodes"], options["ntasks-per-node"], options["gpus-per-node"]) == ("2", "8", "8")
    assert options["signal"] == "TERM@120", "tasks, not the script (B:)"
    subprocess.run(["bash", "-n", LAUNCH / "two_nodes.sbatch"], check=True)


@pytest.mark.long
def test_the_batch_script_starts_processes_that_share_a_training_and_is_requeued_when_its_time_is_up(
    flags: list[str], whole: Ended, slurm: dict[str, str], tmp_path: Path
) -> None:
    folder, fake = tmp_path / "run", Path(slurm["SLURM_FAKE"])
    command = ["bash", "launch/two_nodes.sbatch", "recipes/sst2.py", *flags, "--output-dir", str(folder)]
    running = start(command, tmp_path / "log", **slurm)
    wait_for_update(folder, 4, running)
    for task in (fake / "tasks").read_text().split():
        os.kill(int(task), signal.SIGTERM)
    assert end(running) == [130], (tmp_path / "log").read_text()
    assert (fake / "controlled").read_text().split() == ["requeue", slurm["SLURM_JOB_ID"]]
    assert "--kill-on-bad-exit=1" in (fake / "asked").read_text()
    again = start(command, tmp_path / "log2", **slurm)
    status = end(again)
    ended = Ended(status[0], (tmp_path / "log2").read_text(), folder)
    assert ended.status == 0, ended.output
    assert (ended.result["processes"], ended.result["resumed"]) == (2, 1)
    assert ended.weights == whole.weights


# --- Kubernetes


def container() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    service, job = yaml.safe_load_all((LAUNCH / "kubernetes.yaml").read_text())
    (only,) = job["spec"]["template"]["spec"]["containers"]
    return service, job, only


def test_the_job_of_kubernetes_names_itself_rightly() -> None:
    service, job, only = container()
    assert (service["kind"], job["kind"], job["spec"]["completionMode"]) == ("Service", "Job", "Indexed")
    pods = job["spec"]["template"]["spec"]
    told = {each["name"]: each["value"] for each in only["env"]}
    assert service["spec"] == {"clusterIP": "None", "selector": {"job-name": job["metadata"]["name"]}}
    assert told["FIRST"] == f"{job['metadata']['name']}-0.{pods['subdomain']}"
    assert pods["subdomain"] == service["metadata"]["name"]
    assert int(told["NODES"]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert told["GPUS"] == only["resources"]["limits"]["nvidia.com/gpu"]
    volumes = {each["name"] for each in pods["volumes"]}
    assert volumes == {each["name"] for each in only["volumeMounts"]}


@pytest.mark.long
def test_the_command_of_the_pods_shares_a_training(flags: list[str], whole: Ended, tmp_path: Path) -> None:
    *_, only = container()
    told = {each["name"]: each["value"] for each in only["env"]}
    flags = [*flags, "--output-dir", str(tmp_path / "run")]
    told |= {"GPUS": "1", "FIRST": "127.0.0.1", "PORT": free_port(), "RECIPE": "sst2", "FLAGS": shlex.join(flags)}
    pods = [
        start(only["command"], tmp_path / f"log{index}", **told, JOB_COMPLETION_INDEX=str(index)) for index in (0, 1)
    ]
    statuses = end(*pods)
    output = "".join((tmp_path / f"log{index}").read_text() for index in (0, 1))
    assert statuses == [0, 0], output
    ended = Ended(0, output, tmp_path / "run")
    assert ended.result["processes"] == 2
    assert_same_answers(ended, whole)
    assert ended.weights == whole.weights


# --- accelerate's configurations


def test_the_files_for_accelerate_are_ones() -> None:
    expected = {
        "one_gpu.yaml": ("NO", 1, 1),
        "eight_gpus.yaml": ("MULTI_GPU", 8, 1),
        "fsdp.yaml": ("FSDP", 8, 1),
        "two_nodes.yaml": ("MULTI_GPU", 16, 2),
    }
    for name, numbers in expected.items():
        found: Any = load_config_from_file(str(LAUNCH / name))  # refuses names that it does not know
        assert (str(found.distributed_type.value), found.num_processes, found.num_machines) == numbers
    others = {"two_nodes.sbatch", "kubernetes.yaml"}
    assert {path.name for path in LAUNCH.iterdir()} == {*expected, *others}, "each file in launch/ has a test"
