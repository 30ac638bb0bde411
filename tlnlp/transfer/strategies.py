"""What is trained, for how long, and at which learning rates: each strategy is a function from layer groups to phases.

A new strategy is a new function in `STRATEGIES`; it depends on neither model nor task, and can be tested without
either. Its keyword-only arguments are the options in `--strategy name:option=value` (`tlnlp.transfer.parse_strategy`).

`--learning-rate` is the learning rate for a whole pre-trained network. Few or new weights need a higher one: strategies
that train only these multiply it by `factor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from tlnlp.errors import InputError
from tlnlp.transfer.adapter_strategies import adapter, ia3, lora, prefix, prompt
from tlnlp.transfer.groups import Group
from tlnlp.transfer.option_checks import at_least, raised
from tlnlp.transfer.phases import FeatureClassifierConfig, Hyperparameters, Phase

# Default `strength` of `shallow`, for features of deviation 1. Tried: 0.01, 0.1, 1. On reviews 0.01 is the best (a
# point more accuracy than 0.1 on all-MiniLM-L6-v2, no more on the bundled network), for tags 0.1 (F1 of 0.45; 0.40 with
# 0.01).
STRENGTH = 0.1


Strategy = Callable[..., list[Phase]]


def full(groups: Sequence[Group], settings: Hyperparameters) -> list[Phase]:
    """Fine-tuning: trains all groups at one learning rate (Devlin et al. 2019, section 3.2). The default, if there are
    many rows."""
    return [Phase("all layers", settings.epochs, {group.name: settings.learning_rate for group in groups})]


def from_scratch(groups: Sequence[Group], settings: Hyperparameters) -> list[Phase]:
    """The baseline without transfer: the same network from random weights. The gain over it is the effect of
    transfer."""
    (phase,) = full(groups, settings)
    return [
        Phase("all layers, from random weights", phase.epochs, phase.learning_rates, [group.name for group in groups])
    ]


def head_only(groups: Sequence[Group], settings: Hyperparameters, *, factor: float = 10.0) -> list[Phase]:
    """Feature extraction: trains a new head on frozen pre-trained layers (Peters et al. 2019, "To tune or not to
    tune?"). Cheap; best if the task is similar to the pre-training.

    Args:
        factor: learning rate of the head, as a multiple of `--learning-rate`.
    """
    rate = raised("head_only", "factor", settings, factor)
    return [Phase("head", settings.epochs, {groups[-1].name: rate})]


def top_layers(groups: Sequence[Group], settings: Hyperparameters, *, k: int = 2) -> list[Phase]:
    """Trains the last layers and the head, and freezes the lower layers (Lee et al. 2019, "What would Elsa do?":
    training a quarter of the layers reaches 90 % of the score). Saves time and memory.

    Args:
        k: number of layers, counted from the top.
    """
    learning = [*_layers_from_top("top_layers", groups, k), groups[-1]]
    name = f"last {k} layers and head" if k > 1 else "last layer and head"
    return [Phase(name, settings.epochs, {group.name: settings.learning_rate for group in learning})]


def head_then_full(
    groups: Sequence[Group],
    settings: Hyperparameters,
    *,
    head_epochs: int | None = None,
    factor: float = 10.0,
    full_factor: float = 1.0,
) -> list[Phase]:
    """Trains the new head first, then everything at a low learning rate: a random head sends large, uninformative
    gradients into the pre-trained layers (Kumar et al. 2022, LP-FT; better if dev rows are unlike the train rows).

    Args:
        head_epochs: epochs in which only the head is trained; as many as `--epochs` if unset.
        factor: learning rate of the head in these epochs, as a multiple of `--learning-rate`.
        full_factor: learning rate of all layers afterwards, as a multiple of `--learning-rate`.
    """
    at_least("head_then_full", "head_epochs", head_epochs, 1)
    head_rate = raised("head_then_full", "factor", settings, factor)
    rate = raised("head_then_full", "full_factor", settings, full_factor)
    return [
        Phase("head", settings.epochs if head_epochs is None else head_epochs, {groups[-1].name: head_rate}),
        Phase("all layers", settings.epochs, {group.name: rate for group in groups}),
    ]


def gradual_unfreezing(
    groups: Sequence[Group], settings: Hyperparameters, *, layers: int = 1, phase_epochs: int = 1, decay: float = 1.0
) -> list[Phase]:
    """Trains the head, then unfreezes one more layer in each phase, from the top; finally trains all for `--epochs`
    (Howard and Ruder 2018, ULMFiT, section 3.3). Reduces forgetting, if there are few rows.

    Args:
        layers: number of layers to unfreeze in each phase.
        phase_epochs: epochs of each phase except the last.
        decay: learning rate of a group relative to the group above it (in ULMFiT 1 / 2.6).
    """
    at_least("gradual_unfreezing", "layers", layers, 1)
    at_least("gradual_unfreezing", "phase_epochs", phase_epochs, 1)
    learning_rates = _decayed("gradual_unfreezing", groups, settings, decay)
    phases = []
    for lowest in range(len(groups) - 1, 0, -layers):
        learning = {group.name: learning_rates[group.name] for group in groups[lowest:]}
        name = "head" if lowest == len(groups) - 1 else f"from {groups[lowest].name} up"
        phases.append(Phase(name, phase_epochs, learning))
    return [*phases, Phase("all layers", settings.epochs, learning_rates)]


def layer_decay(groups: Sequence[Group], settings: Hyperparameters, *, decay: float = 0.8) -> list[Phase]:
    """Discriminative learning rates: lower layers, which are more general, have lower learning rates (Howard and Ruder
    2018, section 3.2, with 1 / 2.6; Clark et al. 2020, ELECTRA, appendix B, with 0.8). More stable if there are few
    rows.

    Args:
        decay: learning rate of a group relative to the group above it; the head has `--learning-rate`.
    """
    return [Phase("all layers", settings.epochs, _decayed("layer_decay", groups, settings, decay))]


def bias_only(groups: Sequence[Group], settings: Hyperparameters, *, factor: float = 10.0) -> list[Phase]:
    """BitFit: trains the biases and the head, a thousandth of the weights (Ben Zaken et al. 2022). For few rows, or
    many tasks on one network.

    Args:
        factor: their learning rate, as a multiple of `--learning-rate` (in the paper 1e-4 to 1e-3).
    """
    *body, head = groups
    with_biases = [group.name for group in body if group.biases]
    if not with_biases:
        raise InputError(
            expected="--strategy bias_only on a network that has biases (BERT, RoBERTa, GPT-2)",
            found="one whose layers have none",
            change="--strategy lora or ia3, or another --model",
        )
    rate = raised("bias_only", "factor", settings, factor)
    return [Phase("biases and head", settings.epochs, dict.fromkeys([*with_biases, head.name], rate), (), with_biases)]


def reinit_top(groups: Sequence[Group], settings: Hyperparameters, *, k: int = 1) -> list[Phase]:
    """Re-initialises the top layers before fine-tuning: they are the most specific to the pre-training task (Zhang et
    al. 2021, "Revisiting few-sample BERT fine-tuning", section 5). More stable if there are few rows.

    Args:
        k: number of layers, counted from the top; the head is re-initialised with them.
    """
    redrawn = [group.name for group in (*_layers_from_top("reinit_top", groups, k), groups[-1])]
    (phase,) = full(groups, settings)
    return [Phase(f"all layers, last {k} from random weights", phase.epochs, phase.learning_rates, redrawn)]


def shallow(
    groups: Sequence[Group],
    settings: Hyperparameters,
    *,
    layer: int | Literal["mix"] | None = None,
    classifier: Literal["logistic_regression", "linear_svm", "nearest_centroid"] = "logistic_regression",
    pooling: Literal["mean", "first", "last"] = "mean",
    strength: float = STRENGTH,
) -> list[Phase]:
    """A scikit-learn classifier on the features of the frozen network, which are computed once per row (feature
    extraction: Devlin et al. 2019, section 5.3; Peters et al. 2019). It takes seconds, has no learning rate and no
    randomness: the first strategy to try, and a probe of each layer.

    Accuracy on SST-2 with 1,024 train rows and all-MiniLM-L6-v2: layer 0 0.724, 2 0.745, 4 0.775, 5 0.779, the last (6)
    0.773, their mix 0.767; with layer 5, the first token 0.749, a linear SVM 0.740, the nearest centroid 0.760.

    Args:
        layer: the layer to use, from 0 (the input of the first one) to the last, which is the default; `mix`: a
            weighted mean of all layers, whose weights are learnt with the classifier (Peters et al. 2018, ELMo,
            equation 1).
        classifier: the classifier for labels; ridge regression is used for scores.
        pooling: how the vectors of a row's tokens become one; for tags, the first token of each word is always used.
        strength: C in scikit-learn, the inverse of the regularisation.
    """
    last = len(groups) - 2
    if isinstance(layer, int) and not 0 <= layer <= last:
        raise InputError(
            expected=f"--strategy shallow:layer=0 to shallow:layer={last}, the layers of this network, or layer=mix",
            found=f"shallow:layer={layer}",
            change="layer",
        )
    _check_classifier(layer, classifier, pooling, strength)
    mixed = layer == "mix"
    read = tuple(range(last + 1)) if mixed else (last if layer is None else int(layer),)
    place = f"a mix of layers 0 to {last}" if mixed else f"layer {read[0]}"
    fit = FeatureClassifierConfig(read, mixed, classifier, pooling, strength)
    return [Phase(f"{classifier.replace('_', ' ')} on {place}", 0, {}, fit=fit)]


def _check_classifier(layer: int | str | None, classifier: str, pooling: str, strength: float) -> None:
    """Raises an error for options that cannot be combined."""
    if not strength > 0:
        raise InputError(
            expected="--strategy shallow:strength=C with C above 0", found=f"strength={strength:g}", change="strength"
        )
    if classifier == "nearest_centroid" and strength != STRENGTH:
        raise InputError(
            expected="strength with a classifier that is regularised (logistic_regression, linear_svm)",
            found=f"shallow:classifier={classifier},strength={strength:g}",
            change="leave strength out",
        )
    if layer == "mix" and classifier != "logistic_regression":
        raise InputError(
            expected="layer=mix with classifier=logistic_regression, with which the shares are learnt",
            found=f"shallow:layer=mix,classifier={classifier}",
            change="leave classifier out, or name one layer",
        )
    if layer == 0 and pooling == "first":
        raise InputError(
            expected="pooling=first of layer 1 or above: below it a first token knows nothing of its row",
            found="shallow:layer=0,pooling=first",
            change="pooling=mean, or another layer",
        )


STRATEGIES: dict[str, Strategy] = {
    strategy.__name__: strategy
    for strategy in (
        full, head_only, from_scratch, top_layers, head_then_full, gradual_unfreezing, layer_decay, bias_only,
        reinit_top, lora, ia3, prefix, prompt, adapter, shallow,
    )
}  # fmt: skip


def _layers_from_top(strategy: str, groups: Sequence[Group], k: int) -> Sequence[Group]:
    layers = groups[1:-1]
    if not 1 <= k <= len(layers):
        raise InputError(
            expected=f"--strategy {strategy}:k=1 to {strategy}:k={len(layers)}, the layers of this network",
            found=f"{strategy}:k={k}",
            change="k",
        )
    return layers[-k:]


def _decayed(strategy: str, groups: Sequence[Group], settings: Hyperparameters, decay: float) -> dict[str, float]:
    """Returns each group's learning rate: that of the group above it, times `decay`."""
    if not 0 < decay <= 1:
        raise InputError(
            expected=f"--strategy {strategy}:decay=D with D above 0 and at most 1",
            found=f"{strategy}:decay={decay:g}",
            change="decay (ULMFiT's division by 2.6 is decay=0.385)",
        )
    return {group.name: settings.learning_rate * decay**above for above, group in enumerate(reversed(groups))}
