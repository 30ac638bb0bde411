"""Zero-shot cross-lingual transfer: evaluation in languages that the model was not trained on.

Target languages are predicted at the end of the run: neither training nor model selection depends on them.
"""

from __future__ import annotations

import statistics
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tlnlp.data.rows import Rows
from tlnlp.display.console import RunConsole
from tlnlp.evaluation.data_profile import describe_tokens, text_of
from tlnlp.evaluation.predict import predict
from tlnlp.evaluation.scoring import headline, measure, primary_inputs
from tlnlp.evaluation.statistics import Estimate
from tlnlp.evaluation.uncertainty import estimate_over, noise_of, row_variance
from tlnlp.runs.setup import PreparedRun
from tlnlp.task import Prediction

# Number of texts from which script and tokenizer statistics are computed.
SOME_ROWS = 2_000
TOKEN_FACTS = ("pieces_per_word", "unknown_fraction", "long_fraction")

Predictions = list[Prediction]


def predict_languages(work: PreparedRun, screen: RunConsole) -> dict[str, Predictions]:
    """Returns {language: predictions for its rows}, from the network as it will be saved."""
    if not work.target_languages:
        return {}
    if work.compact is not None:
        work.compact.restore()  # it had been pruned to the tokens of the train and dev rows
    training, found = work.training, {}
    with screen.bar(sum(len(encoded) for encoded, _ in work.target_languages.values()), 0) as bar:
        for language, (encoded, rows) in work.target_languages.items():
            bar.say(f"answering in {language}")
            found[language] = predict(
                training.model, encoded, rows, training.task, training.tokenizer, training.settings.max_tokens,
                training.accelerator, bar.advance,
            )  # fmt: skip
    return found


def describe_languages(
    work: PreparedRun,
    predictions: Predictions,
    further: Mapping[str, Predictions],
    history: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
    """Returns {source, targets}: for each language its scores, their variance, and statistics of its tokenisation.

    Args:
        predictions: for the reported rows, in the source language.
        further: for the rows of the other languages.
        history: of the run; with `--show-oracle` it contains each language's score after each epoch.
    """
    if not work.target_languages:
        return None
    source = _describe(work, work.language or work.training.task.language, predictions, work.eval_rows)
    targets = [
        _describe(work, language, each, work.target_languages[language][1]) for language, each in further.items()
    ]
    for each in targets:
        if oracle := _find_oracle(each, history, lower=headline(work.training.task, work.eval_rows).lower_is_better):
            each["oracle"] = oracle
    return {"metric": next(iter(source["metrics"])), "source": source, "targets": targets}


def _describe(work: PreparedRun, language: str, predictions: Predictions, rows: Rows) -> dict[str, Any]:
    task, metric = work.training.task, headline(work.training.task, rows)
    metric_inputs = primary_inputs(task, predictions, rows)
    chance = task.head.majority_baseline(work.train_rows, rows, task)
    noise = noise_of(task, metric_inputs, rows)
    metrics = measure(task, predictions, rows)
    score = next(iter(metrics.values()))
    described: dict[str, Any] = {
        "language": language,
        "rows": len(rows),
        "metrics": metrics,
        "row_variance": row_variance(task, score, noise, rows),
        "majority": None,
        "over_majority": None,
    }
    if chance is not None:
        sign = -1 if metric.lower_is_better else 1
        by_chance = primary_inputs(task, chance, rows)
        majority_baseline = metric.compute(by_chance["predictions"], by_chance["references"])
        variance = row_variance(task, score - majority_baseline, noise - noise_of(task, by_chance, rows), rows)
        described["majority"] = majority_baseline
        described["over_majority"] = {"value": sign * (score - majority_baseline), "row_variance": variance}
    return described | describe_text(rows, work.training.tokenizer, work.training.settings.max_length)


def describe_text(rows: Rows, tokenizer: Any, max_length: int) -> dict[str, Any]:
    """Returns the script, tokens per word (subword fertility: Rust et al. 2021, section 3.1), and the fractions of
    unknown tokens and of rows above the maximum length, for the first `SOME_ROWS` rows."""
    texts = [text_of(rows, row) for row in range(min(SOME_ROWS, len(rows)))]
    tokens = describe_tokens(texts, tokenizer, max_length)
    return {"script": find_script(texts)} | {name: tokens[name] for name in TOKEN_FACTS}


def find_script(texts: Sequence[str]) -> str:
    """Returns the script of most letters, by its name in Unicode: "Latin", "Cyrillic", "Arabic", "Cjk"."""
    letters = Counter(character for text in texts for character in text if character.isalpha())
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        scripts[unicodedata.name(letter, "unknown").split()[0]] += count
    return scripts.most_common(1)[0][0].capitalize() if scripts else "none"


def _find_oracle(target: Mapping[str, Any], history: Sequence[Mapping[str, Any]], *, lower: bool) -> dict[str, Any]:
    """Returns the epoch that model selection on this language's own rows would have chosen, and its score."""
    scores = {entry["epoch"]: entry["languages"][target["language"]] for entry in history if "languages" in entry}
    if not scores:
        return {}
    epoch = (min if lower else max)(scores, key=lambda each: scores[each])
    return {"epoch": epoch, "score": scores[epoch]}


def join_languages(described: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Joins the languages of several seeds' results: means, with the score of each seed."""
    return {
        "metric": described[0]["metric"],
        "source": _join([each["source"] for each in described]),
        "targets": [_join(list(each)) for each in zip(*(each["targets"] for each in described), strict=True)],
    }


def _join(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    joined = dict(parts[0])
    joined["metrics"] = {
        name: statistics.fmean(part["metrics"][name] for part in parts) for name in parts[0]["metrics"]
    }
    joined["scores"] = [next(iter(part["metrics"].values())) for part in parts]
    joined["row_variance"] = statistics.fmean(part["row_variance"] for part in parts)
    if joined["over_majority"] is not None:
        over = [part["over_majority"] for part in parts]
        joined["over_majority"] = {
            "value": statistics.fmean(each["value"] for each in over),
            "values": [each["value"] for each in over],
            "row_variance": statistics.fmean(each["row_variance"] for each in over),
        }
    if "oracle" in joined:
        joined["oracle"] = {"score": statistics.fmean(part["oracle"]["score"] for part in parts)}
    return joined


def score_of(part: Mapping[str, Any]) -> Estimate:
    """Returns a language's score with its variance over rows and, if there are several, seeds."""
    values = part.get("scores", [next(iter(part["metrics"].values()))])
    return estimate_over(values, part["rows"], part["row_variance"])


def gap_between(source: Mapping[str, Any], target: Mapping[str, Any]) -> Estimate:
    """Returns the transfer gap (Hu et al. 2020, section 5): the score in the source language minus that in the target
    language. Rows of the two are treated as independent although translations vary together, so the interval is rather
    too wide."""
    ours, theirs = score_of(source), score_of(target)
    pairs = zip(source.get("scores", [ours.value]), target.get("scores", [theirs.value]), strict=True)
    rows = min(source["rows"], target["rows"])
    return estimate_over([one - other for one, other in pairs], rows, ours.row_variance + theirs.row_variance)


def over_majority(part: Mapping[str, Any]) -> Estimate | None:
    """Returns the gain in a language over the majority baseline, which always predicts the most frequent label of the
    train rows."""
    over = part["over_majority"]
    return (
        None if over is None else estimate_over(over.get("values", [over["value"]]), part["rows"], over["row_variance"])
    )


def is_above_chance(part: Mapping[str, Any]) -> bool | None:
    """Returns whether the score is above the majority baseline by more than its variation over seeds and rows (95
    %)."""
    over = over_majority(part)
    return None if over is None else over.interval()[0] > 0


def table_of(languages: Mapping[str, Any]) -> list[list[str]]:
    """Returns the languages as a table for display: a header, the source language, and the targets."""
    source, targets = languages["source"], languages["targets"]
    shows_oracle = any("oracle" in each for each in targets)
    header = ["", "rows", languages["metric"], "±", "gap", "chance", "script", "pieces", "unknown", "long"]
    lines = [header + (["oracle"] if shows_oracle else [])]
    for part in [source, *sorted(targets, key=lambda each: -score_of(each).value)]:
        score = score_of(part)
        gap = "" if part is source else f"{gap_between(source, part).value:.3f}"
        line = [
            part["language"],
            f"{part['rows']:,}",
            f"{score.value:.3f}",
            f"{score.half_width():.3f}",
            gap,
            "-" if part["majority"] is None else f"{part['majority']:.3f}",
            part["script"],
            f"{part['pieces_per_word']:.2f}",
            f"{part['unknown_fraction']:.0%}",
            f"{part['long_fraction']:.0%}",
        ]
        if shows_oracle:
            line.append(f"{part['oracle']['score']:.3f}" if "oracle" in part else "")
        lines.append(line)
    return lines


def remarks_on(languages: Mapping[str, Any]) -> list[str]:
    """Returns remarks that explain the table."""
    remarks = []
    lost = [each["language"] for each in languages["targets"] if is_above_chance(each) is False]
    if lost:
        remarks.append(f"Not above chance (the most frequent answer): {', '.join(lost)}.")
    oracles = [abs(each["oracle"]["score"] - score_of(each).value) for each in languages["targets"] if "oracle" in each]
    if oracles:
        remarks.append(
            "oracle: had each language chosen its own epoch. By that, scores would differ by "
            f"{statistics.fmean(oracles):.3f} in the mean, {max(oracles):.3f} at most."
        )
    seeds = len(languages["source"].get("scores", [0]))
    over = f"{seeds} seeds and the rows" if seeds > 1 else "the rows, one seed"
    remarks.append(
        f"±: half of the 95 % interval over {over}; gap: to {languages['source']['language']}, which was learnt from; "
        "pieces: tokens a word; unknown: of these; long: rows that are cut or read in windows."
    )
    return remarks
