"""Networks with weights that a head does not use, on two processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.architectures import cells
from tests.architectures.checkpoints import ARCHITECTURES, build
from tests.fixtures import keep_float64
from tests.recipe_runs import begin, run_function
from tlnlp.errors import InputError
from tlnlp.training.loop import train

FEW = [("big_bird", "sentence"), ("bert", "tag")]
ALL = [[(name, head) for head in ("sentence", "tag")] for name in ARCHITECTURES]


def train_all(cases: list[tuple[str, str]], folder: str) -> None:
    """Trains each architecture with each head; writes the weights, or the words with which it is refused."""
    for name, head in cases:
        place = Path(folder) / name / head
        with pytest.MonkeyPatch.context() as patch:
            keep_float64(patch)
            settings = {"batch_size": 8, "max_length": cells.MAX_LENGTH, "learning_rate": 1e-3, "micro_batches": 2}
            data = Path(folder) / "rows" / cells.RECIPES[head]
            try:
                work = begin(
                    cells.RECIPES[head], place / "work", model=str(Path(folder) / name), data=str(data), epochs=1,
                    **settings,
                )  # fmt: skip
            except InputError as refusal:
                (place / "refused").parent.mkdir(parents=True, exist_ok=True)
                (place / "refused").write_text(str(refusal))
                continue
            training = work.training
            network = training.model if name == "canine" else training.model.double()  # not a number there
            losses = [step.loss.item() for step in train(training)]
        accelerator = training.accelerator
        if accelerator.is_main_process:
            place.mkdir(parents=True, exist_ok=True)
            found = {"weights": network.state_dict(), "losses": losses}
            torch.save(found, place / f"trained {accelerator.num_processes}.pt")
            if accelerator.num_processes > 1 and accelerator.ddp_handler.find_unused_parameters:
                (place / "unused").touch()


@pytest.mark.parametrize(
    "cases", [FEW, *(pytest.param(each, marks=pytest.mark.long) for each in ALL)], ids=["few", *ARCHITECTURES]
)
def test_two_processes_learn_the_same_as_one_whatever_weights_a_head_does_not_use(
    cases: list[tuple[str, str]], tmp_path: Path
) -> None:
    cells.write_rows(tmp_path / "rows")
    for name in dict(cases):
        build(name, tmp_path / name)
    for processes in (2, 1):
        run_function(train_all, cases, str(tmp_path), processes=processes)
    unused = set()
    for name, head in cases:
        place = tmp_path / name / head
        if (place / "refused").exists():
            continue
        alone, two = (torch.load(place / f"trained {processes}.pt") for processes in (1, 2))
        assert two["losses"] == pytest.approx(alone["losses"], rel=1e-6), (name, head)
        rounding = 1e-3 if name == "canine" else 1e-8
        for weight, expected in alone["weights"].items():
            difference = (two["weights"][weight] - expected).abs().max()
            assert difference <= rounding * max(1.0, float(expected.abs().max())), (name, head, weight)
        if (place / "unused").exists():
            unused.add(name)
    if cases == FEW:
        assert unused == {"big_bird"}, "the search costs time where nothing is unused"
