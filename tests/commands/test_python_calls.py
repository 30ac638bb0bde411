"""`tlnlp.train`, `load` and `compare`: rows in memory are what files are, and what is wrong is said in words."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

import tlnlp
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.memory import fingerprint_of, tables_of

SMALL: dict[str, Any] = {"epochs": 1, "max_length": 32, "batch_size": 16, "no_report": True, "quiet": True}
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rows(reviews: Path) -> dict[str, Rows]:
    """{split: dicts}."""
    return {
        split: [json.loads(line) for line in (reviews / f"{split}.jsonl").read_text().splitlines()]
        for split in ("train", "validation")
    }


def columns_of(rows: Rows) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


FORMS: dict[str, Callable[[Rows], Any]] = {
    "dicts": lambda rows: rows,
    "columns": columns_of,
    "frame": pd.DataFrame,
    "frame with its own index": lambda rows: pd.DataFrame(rows, index=[f"id{i}" for i in range(len(rows))]),
    "dataset": lambda rows: datasets.Dataset.from_list(rows),
    "arrays": lambda rows: {name: np.array(values) for name, values in columns_of(rows).items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_any_form_are_the_same_rows(form: str, rows: dict[str, Rows]) -> None:
    given = {split: FORMS[form](each) for split, each in rows.items()}
    tables = tables_of(given, FileFormat())
    assert {split: len(table) for split, table in tables.items()} == {split: len(each) for split, each in rows.items()}
    for split, table in tables.items():
        for name, values in columns_of(rows[split]).items():
            assert table.values(name) == values
            assert {type(value) for value in table.values(name)} == {type(value) for value in values}
        assert table.numbers.tolist() == list(range(len(table)))
    assert fingerprint_of(tables) == fingerprint_of(tables_of(rows, FileFormat()))


def test_rows_in_memory_give_the_run_that_files_give(
    rows: dict[str, Rows], reviews: Path, bert: Path, tmp_path: Path
) -> None:
    of_files = tlnlp.train("sst2", reviews, model=bert, output_dir=tmp_path / "files", **SMALL)
    of_memory = tlnlp.train(
        "sst2", {"train": pd.DataFrame(rows["train"]), "validation": rows["validation"]}, model=bert,
        output_dir=tmp_path / "memory", **SMALL,
    )  # fmt: skip
    assert of_memory.metrics == of_files.metrics
    assert of_memory.result["data_fingerprint"] == of_files.result["data_fingerprint"]
    assert [each.prediction for each in of_memory.predictions] == [each.prediction for each in of_files.predictions]
    # The row that is at fault is named as Python counts, from 0; in a file as an editor does.
    assert [each.row for each in of_memory.predictions] == [each.row - 1 for each in of_files.predictions]
    call = of_memory.result["command"]
    assert call.startswith("tlnlp.train('sst2', data=data, ") and "epochs=1" in call
    page = of_memory.report().read_text(encoding="utf-8")
    assert "tlnlp.train(" in page


def test_gaps_of_a_frame_are_missing_values_and_whole_numbers_stay_whole() -> None:
    frame = pd.DataFrame({"text": ["a", None, "c"], "label": [1, None, 0], "weight": [0.5, float("nan"), 2.0]})
    (table,) = tables_of(frame, FileFormat()).values()
    assert table.values("text") == ["a", None, "c"]
    assert table.values("label") == [1, None, 0] and type(table.values("label")[0]) is int
    assert table.values("weight") == [0.5, None, 2.0]


def test_class_names_of_a_dataset_are_its_labels(rows: dict[str, Rows], bert: Path, tmp_path: Path) -> None:
    """The data set numbers them the other way round: what counts is the name."""
    other_way = [{**row, "label": 1 - row["label"]} for row in rows["train"]]
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["positive", "negative"])}
    )
    as_dataset = datasets.Dataset.from_list(other_way, features=features)
    plain = tlnlp.train("sst2", rows["train"], model=bert, output_dir=tmp_path / "plain", **SMALL)
    named = tlnlp.train("sst2", as_dataset, model=bert, output_dir=tmp_path / "named", **SMALL)
    assert named.result["data_fingerprint"] == plain.result["data_fingerprint"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "rows"),
        (["a film to see"], "row 0: 'a film to see'"),
        ([("a film", 1)], "row 0: \\('a film', 1\\)"),
        (17, "data: int"),
        ({"sentence": ["a", "b"], "label": [1]}, "sentence 2, label 1"),
        ({"train": {"sentence": ["a", "b"], "label": [1]}}, r"data\['train'\]: sentence 2, label 1"),
        ({"text_": ["a", "b"], "label": [0, 1]}, "the columns text_, label"),
        ([{"sentence": "a", "label": 0}, {"sentence": "", "label": 1}], "row 1"),
        ([{"sentence": "a", "label": 0}, {"sentence": "b", "label": 7}], "row 1: label 7"),
        ({"validation": [{"sentence": "a", "label": 0}]}, "validation"),
        (pd.DataFrame([["a", "b"]], columns=["sentence", "sentence"]), "sentence twice"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_in_words_as_a_value_error(data: Any, said: str, bert: Path) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        tlnlp.train("sst2", data, model=bert, **SMALL)
    assert isinstance(refused.value, tlnlp.InputError)
    assert refused.value.expected and refused.value.change


@pytest.mark.parametrize(
    ("recipe", "settings", "said"),
    [
        ("sst3", {}, "did you mean sst2"),
        ("sst2", {"epoch": 3}, "did you mean epochs"),
        ("sst2", {"epochs": 0}, "--epochs: at least 1"),
        ("sst2", {"strategy": "lorra"}, "did you mean lora"),
        ("sst2", {"model": "no/such"}, "no/such"),
    ],
)
def test_wrong_settings_are_refused_in_words(recipe: str, settings: dict[str, Any], said: str, reviews: Path) -> None:
    with pytest.raises(tlnlp.InputError, match=said):
        tlnlp.train(recipe, reviews, **SMALL | settings)


@pytest.fixture(scope="module")
def trained(reviews: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tlnlp.train("sst2", reviews, model=bert, output_dir=tmp_path_factory.mktemp("run") / "run", **SMALL)


def test_a_loaded_model_predicts_what_the_run_predicted(trained: Any, rows: dict[str, Rows], tmp_path: Path) -> None:
    texts = [row["sentence"] for row in rows["validation"]]
    expected = [(each.prediction, each.score) for each in trained.predictions]
    for place in (trained.folder, trained.folder / "model", str(trained.folder)):
        found = [(each.prediction, each.score) for each in tlnlp.load(place).predict(texts)]
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)
    moved = tmp_path / "elsewhere"
    os.symlink(trained.folder, moved)
    assert len(tlnlp.load(moved).predict(texts[:2])) == 2


def test_predictions_keep_the_order_of_any_iterable_of_rows(trained: Any, rows: dict[str, Rows]) -> None:
    model, texts = trained.model, [row["sentence"] for row in rows["train"]]
    expected = [each.scores for each in model.predict(texts)]
    forms = (
        iter(texts), tuple(texts), ({"text": text} for text in texts), {"sentence": texts},
        pd.DataFrame({"sentence": texts}), [{"sentence": text, "label": 0} for text in texts],
    )  # fmt: skip
    for form in forms:
        assert [each.scores for each in model.predict(form)] == expected
    assert model.predict([]) == []
    reversed_order = [each.scores for each in model.predict(texts[::-1])]
    assert [list(each.values()) for each in reversed_order[::-1]] == [
        pytest.approx(list(each.values()), abs=1e-5) for each in expected
    ]
    for wrong, said in (("one text", "list of texts"), ([("a", "b")], "at most 1 values"), ([None], "row 0")):
        with pytest.raises(tlnlp.InputError, match=said):
            model.predict(wrong)


def test_features_are_the_mean_of_a_layers_states(trained: Any) -> None:
    """Beside transformers' own hidden states, row by row."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    texts = ["A film to see twice.", "Dull."]
    folder = str(trained.folder / "model")
    network = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for layer, pooling in (("last", "mean"), (1, "first"), (0, "mean")):
        trained.model.predict(texts)  # its last layer then gives the first token alone
        found = trained.model.features(texts, layer=layer, pooling=pooling)
        for line, text in zip(found, texts, strict=True):
            with torch.no_grad():
                states = network(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
            own = states[-1 if layer == "last" else layer][0]
            assert line == pytest.approx((own.mean(0) if pooling == "mean" else own[0]).numpy(), abs=1e-5)
    with pytest.raises(tlnlp.InputError, match="layer=3"):
        trained.model.features(texts, layer=3)


def test_a_run_in_another_precision_leaves_models_that_are_loaded_as_they_are(
    trained: Any, reviews: Path, bert: Path, tmp_path: Path
) -> None:
    texts = ["A film to see twice.", "Dull."]
    model = tlnlp.load(trained.folder)
    before = [each.score for each in model.predict(texts)]
    tlnlp.train("sst2", reviews, model=bert, output_dir=tmp_path / "bf16", precision="bf16", **SMALL)
    assert [each.score for each in model.predict(texts)] == before


def test_ctrl_c_leaves_a_run_that_the_same_call_resumes(reviews: Path, bert: Path, tmp_path: Path) -> None:
    """Stopped once a checkpoint is there; resumed it is the run that was never stopped."""
    call: dict[str, Any] = {"model": bert, **SMALL, "epochs": 12, "save_every": 1}
    whole = tlnlp.train("sst2", reviews, output_dir=tmp_path / "whole", **call)
    folder = tmp_path / "stopped"

    def stop() -> None:
        while not list((folder / "checkpoints").glob("[0-9]*")):
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    waits = threading.Thread(target=stop)
    waits.start()
    with pytest.raises(KeyboardInterrupt, match="resume=True") as stopped:
        tlnlp.train("sst2", reviews, output_dir=folder, **call)
    waits.join()
    assert isinstance(stopped.value, tlnlp.Interrupted) and 0 < stopped.value.done < stopped.value.whole
    resumed = tlnlp.train("sst2", reviews, output_dir=folder, resume=True, **call)
    for name in ("model.safetensors", "config.json"):
        assert (folder / "model" / name).read_bytes() == (whole.folder / "model" / name).read_bytes()
    assert resumed.metrics == whole.metrics


def test_nothing_is_printed_by_a_quiet_run(
    reviews: Path, bert: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tlnlp.train("sst2", reviews, model=bert, output_dir=tmp_path / "run", **SMALL)
    said = capfd.readouterr()
    assert said.out == said.err == ""


def test_every_head_predicts_from_python(rows_for: Callable[[str], dict[str, Any]], bert: Path, tmp_path: Path) -> None:
    asked: dict[str, tuple[list[Any], Callable[[Any], bool]]] = {
        "mnli": ([("It rains.", "It is wet.")], lambda each: each.prediction in each.scores and len(each.scores) == 3),
        "stsb": ([{"text": "It rains.", "text_pair": "It pours."}], lambda each: isinstance(each.prediction, float)),
        "conll2003": ([["Anna", "flew", "to", "Oslo", "."]], lambda each: len(each.prediction) == 5),
        "squad": ([("Who flew?", "Anna flew to Oslo.")], lambda each: each.prediction in "Anna flew to Oslo."),
        "copa": (
            [{"premise": "It rained.", "question": "effect", "choice1": "It was wet.", "choice2": "It was dry."}],
            lambda each: each.prediction in (0, 1) and each.more["ending"],
        ),
    }  # fmt: skip
    for recipe, (inputs, right) in asked.items():
        few = {**SMALL, "max_length": 62, "window_overlap": 8, **rows_for(recipe)}
        run = tlnlp.train(recipe, model=bert, output_dir=tmp_path / recipe, **few)
        (found,) = run.model.predict(inputs)
        assert right(found), (recipe, found)
