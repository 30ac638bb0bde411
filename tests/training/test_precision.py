"""The precision where none is asked for: that of the machine, said, and stored with the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.recipe_runs import load_recipe
from tlnlp.errors import InputError
from tlnlp.run import settle
from tlnlp.runs.request import Request
from tlnlp.training.distributed import default_precision, start_accelerator


@pytest.mark.parametrize(
    ("has_gpu", "has_bf16", "expected"), [(False, False, "fp32"), (True, False, "fp32"), (True, True, "bf16")]
)
def test_bf16_is_for_gpus_that_compute_in_it(
    has_gpu: bool, has_bf16: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that emulates it (before 2020) is slower in bf16 than in fp32."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has_bf16)
    assert default_precision() == expected


@pytest.mark.parametrize(
    ("asked", "of_the_machine", "stored", "is_said"),
    [(None, "bf16", "bf16", True), (None, "fp32", "fp32", False), ("fp32", "fp32", "fp32", False)],
)
def test_what_the_machine_decides_is_stored_and_said(
    asked: Any, of_the_machine: str, stored: str, is_said: bool, tmp_path: Any
) -> None:
    said: list[str] = []
    recipe = load_recipe("sst2")
    request = Request.of(recipe, recipe.settings(output_dir=tmp_path, precision=asked))
    accelerator: Any = SimpleNamespace(precision=of_the_machine, num_processes=1, is_main_process=True)
    settled = settle(request, accelerator, SimpleNamespace(note=said.append))  # type: ignore[arg-type]
    assert settled.settings.precision == stored
    assert any("--precision bf16" in line for line in said) is is_said


def test_a_machine_without_a_gpu_computes_in_fp32_and_refuses_what_it_lacks() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert start_accelerator().precision == "fp32"  # type: ignore[attr-defined]
    for precision in ("fp16", "tf32"):
        with pytest.raises(InputError, match=f"--precision {precision}"):
            start_accelerator(precision)  # type: ignore[arg-type]
