"""What a person hears of processes and precision before a run begins."""

from __future__ import annotations

import platform
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tlnlp.training import distributed as processes
from tlnlp.training.distributed import launch_advice, multiplies_bf16
from tlnlp.training.launchers import advice_on_processes


def accelerator(device: str, precision: str) -> Any:
    return SimpleNamespace(device=torch.device(device), mixed_precision=precision)


@pytest.mark.parametrize(
    ("device", "precision", "has_bf16", "is_told"),
    [
        ("cpu", "bf16", False, True),
        ("cpu", "bf16", True, False),
        ("cpu", "no", False, False),
        ("cuda", "bf16", False, False),
    ],
)
def test_bf16_that_is_imitated_is_said(
    device: str, precision: str, has_bf16: bool, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setattr(processes, "_capabilities", lambda: {"avx512_bf16": has_bf16, "amx_bf16": False})
    assert any("--precision fp32" in each for each in launch_advice(accelerator(device, precision))) is is_told


def test_only_an_x86_processor_that_can_be_asked_is_judged() -> None:
    assert multiplies_bf16({})
    assert multiplies_bf16({"neon": True})
    assert multiplies_bf16({"avx512_bf16": False, "amx_bf16": True})
    assert not multiplies_bf16({"avx512_bf16": False, "amx_bf16": False})


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not hasattr(torch.cpu, "get_capabilities"),
    reason="cannot be asked",
)
def test_a_processor_that_can_be_asked_answers_by_these_names() -> None:
    assert {"avx512_bf16", "amx_bf16"} <= set(processes._capabilities())


@pytest.mark.parametrize(
    ("environment", "is_told"),
    [
        ({"MASTER_ADDR": "127.0.0.1"}, True),  # accelerate launch --num_processes 2 --cpu
        ({"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"}, False),
        ({}, False),
    ],
)
def test_one_process_in_place_of_several_is_said(environment: dict[str, str], is_told: bool) -> None:
    assert (advice_on_processes(environment) is not None) is is_told
