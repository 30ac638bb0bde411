"""One cell of the table of architectures: a checkpoint with a head and a strategy trains rightly or is refused in
words."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.fixtures import keep_float64
from tests.recipe_runs import ROOT, load_recipe
from tlnlp.acceleration.activation_cache import ActivationCache
from tlnlp.acceleration.embedding_pruning import PrunedEmbedding
from tlnlp.acceleration.fast_dropout import FastDropout
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.display.console import RunConsole
from tlnlp.errors import InputError
from tlnlp.heads.encoded import model_inputs
from tlnlp.models.task_file import load_network
from tlnlp.run import run_once
from tlnlp.runs.checks import check_run
from tlnlp.runs.request import Request
from tlnlp.runs.setup import prepare
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.loop import train
from tlnlp.transfer.layers import find_layers, layer_modules
from tlnlp.transfer.phases import Phase
from tlnlp.transfer.strategies import STRATEGIES

SPEED_UPS = (PaddingFree, ActivationCache, PrunedEmbedding, FastDropout)
# A recipe for each head.
RECIPES = {
    "sentence": "sst2",
    "tag": "conll2003",
    "span": "squad_v2",
    "choice": "copa",
    "gpt": "gpt_sst2",
    "masked_lm": "pretrain",
    "causal_lm": "pretrain_gpt",
}
# So that frozen layers have two epochs (their outputs are cached), and few weights learn enough to see it.
OPTIONS = {
    "head_then_full": "head_then_full:head_epochs=2",
    "gradual_unfreezing": "gradual_unfreezing:phase_epochs=2",
    "top_layers": "top_layers:k=1",
    "lora": "lora:dropout=0,r=2",
    "adapter": "adapter:size=4",
    "prefix": "prefix:tokens=3",
    "prompt": "prompt:tokens=3",
}
STRATEGY_TEXTS = {name: OPTIONS.get(name, name) for name in STRATEGIES}
TRAIN_ROWS, DEV_ROWS = 14, 7
MAX_LENGTH = 40
OK = "ok"


def write_rows(folder: Path) -> Path:
    """Few rows for each recipe in `folder`/RECIPE, short and long ones."""
    for recipe in RECIPES.values():
        sample = ROOT / "tlnlp" / "bundled" / "samples" / (load_recipe(recipe).task.data.sample or "reviews")
        (folder / recipe).mkdir(parents=True, exist_ok=True)
        for split, number in (("train", TRAIN_ROWS), ("validation", DEV_ROWS)):
            lines = (sample / f"{split}.jsonl").read_text().splitlines(keepends=True)[:120]
            if recipe == "squad_v2":  # a passage is many windows of so few tokens
                lines = lines[: number // 3]
            by_length = sorted(lines, key=len)
            kept = by_length[:: max(1, len(by_length) // number)][:number]
            if recipe.startswith("pretrain"):
                texts = [json.loads(line) for line in kept]
                (folder / recipe / f"{split}.txt").write_text("".join(row["text"] + "\n" for row in texts))
            else:
                (folder / recipe / f"{split}.jsonl").write_text("".join(kept))
    return folder


class Wrong(AssertionError):
    """A cell that is neither right nor refused."""


def check(checkpoint: Path, head: str, strategy: str, rows: Path, folder: Path) -> str:
    """Returns "ok", or the words with which the run was refused.

    Raises:
        Wrong: something that was learnt, saved or predicted is not right.
    """
    recipe = RECIPES[head]
    more: dict[str, Any] = {"window_overlap": 8} if head == "span" else {}
    declared = load_recipe(recipe)
    asked = declared.settings(
        model=str(checkpoint), data=str(rows / recipe), batch_size=8, max_length=MAX_LENGTH, epochs=2,
        learning_rate=3e-3, strategy=STRATEGY_TEXTS[strategy], no_report=True, quiet=True, **more,
    )  # fmt: skip
    request = replace(Request.of(declared, asked), folder=folder / "run")
    accelerator = start_accelerator("fp32")
    try:
        run_once(request, accelerator, RunConsole(speaks=False, quiet=True))
    except InputError as refusal:
        return f"refused: {refusal.found}; expected {refusal.expected}"
    with pytest.MonkeyPatch.context() as patch:
        keep_float64(patch)
        fast = _Learnt(replace(request, folder=folder / "fast"), accelerator)
        for kind in SPEED_UPS:
            patch.setattr(kind, "install", lambda *arguments, **options: None)
        plain = _Learnt(replace(request, folder=folder / "plain"), accelerator)
    _check_groups(plain)
    _check_what_moved(plain)
    _check_speed_ups(fast, plain)
    _check_predictions(folder / "run", plain)
    return OK


class _Learnt:
    """A run in float64 if the network can be run in it: its network before and after."""

    def __init__(self, request: Request, accelerator: Any) -> None:
        request.folder.mkdir(parents=True)
        self.work = prepare(check_run(request), accelerator)
        self.network = self.work.training.model.double()
        self.is_exact = self._is_finite()
        if not self.is_exact:  # CANINE is not a number there
            self.network.to(torch.float32)  # `float` is patched
        self.untrained = copy.deepcopy(self.network)
        self.before = self._weights()
        if self.work.training.phases[0].fit is None:
            for _ in train(self.work.training):
                pass
        if self.work.training.frozen is not None:
            self.work.training.frozen.remove()
        self.after = self._weights()

    def _is_finite(self) -> bool:
        training = self.work.training
        batch = training.head.collate(training.encoded, np.arange(1), training.tokenizer, np.random.default_rng(0))
        try:
            with torch.no_grad():
                return bool(training.head.logits(self.network.eval(), batch).isfinite().all())
        except RuntimeError:  # it computes positions in fp32 (Llama in older releases)
            return False

    def _weights(self) -> dict[str, torch.Tensor]:
        """All weights; a pruned table with all its rows."""
        found = {name: each.detach().clone() for name, each in self.network.named_parameters()}
        if (pruned := self.work.compact) is not None:
            whole = pruned.whole.to(found[pruned.parameter].dtype, copy=True)
            whole[pruned.used] = found[pruned.parameter]
            found[pruned.parameter] = whole
        return found


def _check_what_moved(plain: _Learnt) -> None:
    """What the table of groups says learns has moved, and nothing else."""
    phases: list[Phase] = list(plain.work.training.phases)
    moved = {name for name, each in plain.after.items() if not torch.equal(each, plain.before[name])}
    for group in plain.work.groups:
        learning = [phase for phase in phases if group.name in phase.learning_rates]
        biases_only = learning and all(group.name in phase.only_biases for phase in learning)
        expected = set(group.biases if biases_only else group.parameters) if learning else set()
        redrawn = any(group.name in phase.reinitialize for phase in phases)
        if (set(group.parameters) & moved) - expected and not redrawn:
            raise Wrong(f"{group.name} is frozen, but moved: {sorted((set(group.parameters) & moved) - expected)[:3]}")
        if expected and not expected & moved:
            raise Wrong(f"{group.name} learns, but none of its weights moved")
        if expected - moved and (still := (expected - moved) & _read_weights(plain)):
            raise Wrong(f"{group.name} learns, but these did not move: {sorted(still)[:4]}")


def _read_weights(plain: _Learnt) -> set[str]:
    """The weights on which the loss depends: some are not used by a head (a pooler), or cancel out (a key's bias)."""
    network, training = plain.untrained, plain.work.training
    network.requires_grad_(True)
    items = np.arange(len(training.encoded) if training.encoded.can_pad else 1)
    batch = training.head.collate(training.encoded, items, training.tokenizer, np.random.default_rng(0))
    network.zero_grad()
    training.head.loss(network.eval(), batch, training.task).backward()
    named = network.named_parameters()
    return {name for name, each in named if each.grad is not None and bool((each.grad.abs() > 1e-6).any())}


def _check_speed_ups(fast: _Learnt, plain: _Learnt) -> None:
    """With all speed-ups the same is learnt as without."""
    if fast.after.keys() != plain.after.keys():
        raise Wrong(f"with speed-ups there are other weights: {sorted(fast.after.keys() ^ plain.after.keys())[:3]}")
    learnt = torch.cat([(plain.after[name] - each).flatten() for name, each in plain.before.items()])
    difference = torch.cat([(fast.after[name] - each).flatten() for name, each in plain.after.items()])
    share = float(difference.norm() / max(float(learnt.norm()), 1e-9))
    if not share <= (1e-5 if plain.is_exact else 0.02):
        worst = max(plain.after, key=lambda name: float((fast.after[name] - plain.after[name]).norm()))
        raise Wrong(f"with speed-ups something else is learnt: {share:.2g} of it differs, most in {worst}")


def _check_predictions(folder: Path, plain: _Learnt) -> None:
    """The saved network computes for each sequence alone, in plain transformers, what it computes in padded batches."""
    training = plain.work.training
    if training.phases[0].fit is not None:
        return
    network = load_network(folder / "model", training.head).eval()
    tolerance = 1e-6 if plain.is_exact else 2e-3
    if plain.is_exact:
        network.double()
    encoded = plain.work.encoded_eval
    if training.task.name == "sst2":
        _check_answers(folder, plain)
    if not encoded.can_pad:
        return
    batch = training.head.collate(encoded, np.arange(len(encoded)), training.tokenizer, np.random.default_rng(0))
    inputs = model_inputs(batch)
    with torch.no_grad():
        padded = _outputs(network, inputs)
        for line, mask in enumerate(inputs["attention_mask"].bool()):
            found = _outputs(network, {name: value[line][mask][None] for name, value in inputs.items()})[0]
            expected = padded[line] if padded.dim() == 2 else padded[line][mask]
            if not float((found - expected).abs().max()) <= tolerance * float(padded.abs().max()):
                raise Wrong(f"padding changes its outputs, by up to {float((found - expected).abs().max()):.2g}")


def _outputs(network: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """[sequences, labels], or [sequences, longest, labels]"""
    if "MultipleChoice" in type(network).__name__:
        inputs = {name: value[:, None] for name, value in inputs.items()}
    output = network(**inputs)
    if "start_logits" in output:
        return torch.stack([output["start_logits"], output["end_logits"]], dim=-1)
    return output["logits"]


def _check_answers(folder: Path, plain: _Learnt) -> None:
    """The probabilities that were written are those of transformers, from the text on."""
    if plain.work.adapted is not None:  # saved without its base
        return
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    rows = plain.work.eval_rows
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    for text, line in zip(rows.columns["text"], lines, strict=True):
        inputs = tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        with torch.no_grad():
            chances = network(**model_inputs(inputs)).logits[0].softmax(-1)
        for number, name in network.config.id2label.items():
            if not abs(float(chances[number]) - line["scores"][name]) <= 1e-3:
                raise Wrong(f"transformers says {float(chances[number]):.4f} for {name}, we {line['scores'][name]:.4f}")


def _check_groups(plain: _Learnt) -> None:
    """Each weight is in the group where the network's own hidden states say that it works."""
    network, work = plain.untrained, plain.work
    if work.training.phases[0].fit is not None or work.adapted is not None:
        return
    layers = [group for group in work.groups if group.name.startswith("layer ")]
    read = _states_of(plain, len(layers))
    expected, named = read(network), dict(network.named_parameters())
    answer = _logits(plain)
    for name in work.groups[0].parameters:
        with _shaken([named[name]]):
            is_seen = any(not torch.equal(before, after) for before, after in zip(expected, read(network), strict=True))
            if not is_seen and not torch.equal(answer, _logits(plain)):
                raise Wrong(f"{name} is in the embeddings, but works behind the layers")
    for group in work.groups:
        with _shaken([named[name] for name in group.parameters]):
            both = zip(expected, read(network), strict=True)
            changed = [not torch.allclose(before, after, rtol=1e-5, atol=1e-6) for before, after in both]
        first = changed.index(True) if any(changed) else len(changed)
        number = layers.index(group) + 1 if group in layers else None
        if group.name == "head" and first < len(layers):
            raise Wrong(f"weights of the head work in layer {first}")
        if group.name == "embeddings" and first > 1:
            raise Wrong(f"the embeddings change nothing before layer {first}")
        if number is not None and first != number:
            raise Wrong(f"weights of {group.name} work in layer {first}")


def _logits(plain: _Learnt) -> torch.Tensor:
    with torch.no_grad():
        return plain.work.training.head.logits(plain.untrained.eval(), _few_rows(plain))


def _few_rows(plain: _Learnt) -> dict[str, Any]:
    training = plain.work.training
    items = np.arange(3 if training.encoded.can_pad else 1)
    return training.head.collate(training.encoded, items, training.tokenizer, np.random.default_rng(0))


def _states_of(plain: _Learnt, layers: int) -> Callable[[Any], list[torch.Tensor]]:
    """Returns a function from the network to its states: the input of the first layer and the output of each.

    They are transformers' hidden states; where these are other ones (an encoder's after its last norm, a shared layer's
    after each call), what the layers' own modules return.
    """
    training, batch = plain.work.training, _few_rows(plain)

    def read(network: Any) -> list[torch.Tensor]:
        with torch.no_grad():
            return list(network.eval().base_model(**model_inputs(batch), output_hidden_states=True)["hidden_states"])

    def watch(network: Any) -> list[torch.Tensor]:
        modules = layer_modules(network)
        seen: dict[Any, torch.Tensor] = {}

        def note(module: Any, arguments: Any, output: Any) -> None:
            values = output.values() if isinstance(output, dict) else output
            seen[module] = output if torch.is_tensor(output) else next(iter(values))

        hooks = [module.register_forward_hook(note) for module in modules]
        with torch.no_grad():
            training.head.logits(network.eval(), batch)
        for hook in hooks:
            hook.remove()
        return [torch.zeros(1), *(seen[module] for module in modules)]

    if getattr(plain.untrained.config, "is_encoder_decoder", False):
        return watch
    with contextlib.suppress(TypeError, KeyError):
        states = read(plain.untrained)
        if len(states) == layers + 1 and torch.equal(states[0], _input_of_first_layer(plain.untrained, read)):
            return read
    return watch


def _input_of_first_layer(network: Any, run: Callable[[Any], Any]) -> torch.Tensor:
    """Mamba's hidden states begin with the output of the first layer instead."""
    inputs: list[torch.Tensor] = []
    hook = (
        find_layers(network)[0]
        .parts[0]
        .register_forward_pre_hook(
            lambda module, arguments, named: inputs.append(arguments[0] if arguments else named["hidden_states"]),
            with_kwargs=True,
        )
    )
    run(network)
    hook.remove()
    return inputs[0]


@contextlib.contextmanager
def _shaken(parameters: list[torch.Tensor]) -> Iterator[None]:
    draw = torch.Generator().manual_seed(0)
    own = [each.detach().clone() for each in parameters]
    with torch.no_grad():
        for each in parameters:
            each.add_(torch.randn(each.shape, generator=draw) * 0.3)
    yield
    with torch.no_grad():
        for each, before in zip(parameters, own, strict=True):
            each.copy_(before)
