"""The Hub, played by a server on the loopback: the real libraries, in processes of their own, with no other network."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import sentences, to_jsonl
from tests.hub_server import hub_server

CARD = """---
configs:
- config_name: sst2
  data_files:
  - {split: train, path: sst2/train-*}
  - {split: validation, path: sst2/validation-*}
dataset_info:
- config_name: sst2
  features:
  - {name: sentence, dtype: string}
  - {name: label, dtype: {class_label: {names: {'0': positive, '1': negative}}}}
---
"""

CARD_OF_LANGUAGES = """---
configs:
- config_name: en
  data_files:
  - {split: train, path: en/train.jsonl}
  - {split: validation, path: en/validation.jsonl}
- config_name: de
  data_files:
  - {split: test, path: de/test.jsonl}
---
"""

CARD_OF_LINES = """---
configs:
- config_name: small
  data_files:
  - {split: train, path: train.jsonl}
  - {split: validation, path: validation.jsonl}
---
"""

# Every process: only the loopback can be reached, and what else was tried is told.
START = """
import json, socket, sys
tried, connect, look_up = [], socket.socket.connect, socket.getaddrinfo
def guarded_connect(self, address):
    if self.family != socket.AF_UNIX and address[0] != "127.0.0.1":
        tried.append(str(address)); raise OSError("blocked")
    return connect(self, address)
def guarded_look_up(host, *rest, **named):
    if host != "127.0.0.1":
        tried.append(str(host)); raise socket.gaierror("blocked")
    return look_up(host, *rest, **named)
socket.socket.connect, socket.getaddrinfo = guarded_connect, guarded_look_up
def answer(**values):
    print(json.dumps(values | {"tried": tried}))
"""

LOAD = (
    START
    + """
from tlnlp.data import load_splits
from tlnlp.errors import InputError
from tlnlp.task import Columns, Data, Task
from tlnlp.settings import Settings
hub, subset, dev, names, data = json.loads(sys.argv[1])
task = Task("t", Data(hub=hub, subset=subset, dev=dev), Columns(text="sentence", label="label"), None, tuple(names))
try:
    splits = load_splits(task, Settings(data=data))
    answer(notes=splits.notes, train=splits.train.columns, dev=splits.dev.columns, origin=splits.dev.origin)
except InputError as error:
    answer(expected=error.expected, found=error.found, change=error.change)
"""
)

LANGUAGES = (
    START
    + """
from tlnlp.data import load_splits
from tlnlp.task import Columns, Data, Task
from tlnlp.settings import Settings
transfer = {"de": Data(hub="acme/languages", subset="de", dev="test"), "fa": Data(sample="reviews")}
task = Task("t", Data(hub="acme/languages", subset="en"), Columns(text="sentence", label="label"), None,
            ("negative", "positive"), target_languages=transfer)
splits = load_splits(task, Settings(data="hub", few_shot=json.loads(sys.argv[1])))
answer(train=splits.train.columns["text"], dev=splits.dev.columns["text"],
       transfer={name: rows.columns for name, rows in splits.target_languages.items()})
"""
)

MODEL = (
    START
    + """
import torch
from transformers import AutoModel, AutoTokenizer
tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[1]), AutoModel.from_pretrained(sys.argv[1])
with torch.no_grad():
    state = model.eval()(**tokenizer("good film", return_tensors="pt")).last_hidden_state
answer(ids=tokenizer("good film").input_ids, state=state.flatten().tolist())
"""
)


def run(program: str, argument: str, home: Path, endpoint: str, **changes: str) -> tuple[dict[str, Any], str]:
    """What the program answered, and what it wrote to the error stream."""
    # A clean environment: a token or a cache of whoever runs the tests must not decide them.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HOME": str(home / "hf"), "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "HF_ENDPOINT": endpoint} | changes
    command = [sys.executable, "-c", program, argument]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in parquet with numbered labels, one of lines with words, and a BERT of random weights."""
    root = tmp_path_factory.mktemp("hub")
    glue, lines = root / "datasets" / "acme" / "glue", root / "datasets" / "acme" / "lines"
    (glue / "sst2").mkdir(parents=True)
    lines.mkdir()
    for split, rows in (("train", 30), ("validation", 6)):
        table = pa.Table.from_pylist(sentences([i % 2 for i in range(rows)], split))
        pq.write_table(table, glue / "sst2" / f"{split}-00000-of-00001.parquet")
        (lines / f"{split}.jsonl").write_text(to_jsonl(sentences(["negative", "positive"] * (rows // 2), split)))
    (glue / "README.md").write_text(CARD)
    (lines / "README.md").write_text(CARD_OF_LINES)
    many = root / "datasets" / "acme" / "languages"
    for place, labels in (("en/train", 20), ("en/validation", 4), ("de/test", 6)):
        (many / place).parent.mkdir(parents=True, exist_ok=True)
        rows = sentences(["negative", "positive"] * (labels // 2), place.replace("/", " "))
        (many / f"{place}.jsonl").write_text(to_jsonl(rows))
    (many / "README.md").write_text(CARD_OF_LANGUAGES)
    _write_model(root / "models" / "acme" / "tiny-bert")
    return root


def _write_model(folder: Path) -> None:
    from transformers import BertConfig, BertModel, BertTokenizer  # half a second that only this fixture needs  # noqa: PLC0415

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film", "##s"]
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}).save_pretrained(folder)


@pytest.mark.parametrize(
    ("hub", "subset", "names", "labels", "mapped"),
    [
        ("acme/glue", "sst2", ["negative", "positive"], [1, 0], True),
        ("acme/glue", "sst2", ["positive", "negative"], [0, 1], False),
        ("acme/lines", "small", ["negative", "positive"], [0, 1], False),
    ],
)
def test_a_published_data_set_is_loaded_and_its_labels_travel_by_name(
    hub: str, subset: str, names: list[str], labels: list[int], mapped: bool, hub_folder: Path, tmp_path: Path
) -> None:
    with hub_server(hub_folder) as (endpoint, requests_seen):
        loaded, errors = run(LOAD, json.dumps([hub, subset, "validation", names, "hub"]), tmp_path, endpoint)
    assert "found" not in loaded, loaded
    assert loaded["train"] == {"text": [f"train {i}" for i in range(1, 31)], "label": labels * 15}
    assert loaded["dev"]["label"] == labels * 3
    assert loaded["origin"] == f"{hub} {subset} validation"
    assert any("mapped by name to negative, positive" in note for note in loaded["notes"]) == mapped
    assert any(f"{hub}/resolve/" in request and "/train" in request for request in requests_seen)
    assert errors == ""  # neither progress bars nor log lines


def test_each_language_is_a_part_of_its_own_and_needs_no_train_rows(hub_folder: Path, tmp_path: Path) -> None:
    with hub_server(hub_folder) as (endpoint, _):
        loaded, errors = run(LANGUAGES, "null", tmp_path, endpoint)
        few, _ = run(LANGUAGES, "2", tmp_path, endpoint)
    assert len(loaded["train"]) == 20
    assert loaded["dev"] == [f"en validation {i}" for i in (1, 2, 3, 4)]
    german = [f"de test {i}" for i in range(1, 7)]
    assert loaded["transfer"] == {"de": {"text": german, "label": [0, 1] * 3}}, "Persian is not on the Hub"
    assert errors == ""
    assert set(few["train"][20:]) | set(few["transfer"]["de"]["text"]) == set(german)
    assert len(few["train"]) == 22


REFUSED = [
    (["acme/glue", "sst2", "validation", ["bad", "good"], "hub"], "bad, good", "positive, negative", "data set"),
    (["acme/glue", "sst3", "validation", ["a", "b"], "hub"], "acme/glue sst3", "sst2", "Data"),
    (["acme/glue", "sst2", "validatoin", ["a", "b"], "hub"], "'validatoin'", "did you mean validation?", "Data"),
    (["acme/glu", "sst2", "validation", ["a", "b"], "hub"], "acme/glu on the Hub", "doesn't exist", "id"),
]


@pytest.mark.parametrize(("argument", "expected", "found", "change"), REFUSED)
def test_what_is_not_on_the_hub_is_refused_in_words(
    argument: list[Any], expected: str, found: str, change: str, hub_folder: Path, tmp_path: Path
) -> None:
    with hub_server(hub_folder) as (endpoint, _):
        refusal, _ = run(LOAD, json.dumps(argument), tmp_path, endpoint)
    assert expected in refusal["expected"]
    assert found in refusal["found"]
    assert change in refusal["change"]


def test_a_hub_that_cannot_be_reached_is_refused_in_words(tmp_path: Path) -> None:
    # Offline by decree: the library's error is the one of a dead line, without its half minute of new attempts.
    argument = json.dumps(["acme/glue", "sst2", "validation", ["a", "b"], "hub"])
    refusal, _ = run(LOAD, argument, tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert "access to the Hub" in refusal["expected"]
    assert "acme/glue" in refusal["found"]
    assert "HF_ENDPOINT" in refusal["change"] and "--data sample" in refusal["change"]
    assert refusal["tried"] == []


def test_a_model_loads_from_the_hub_as_from_its_folder_and_locally_without_any_request(
    hub_folder: Path, tmp_path: Path
) -> None:
    with hub_server(hub_folder) as (endpoint, requests_seen):
        local, _ = run(MODEL, str(hub_folder / "models" / "acme" / "tiny-bert"), tmp_path, endpoint)
        assert requests_seen == []
        assert local["tried"] == []
        published, _ = run(MODEL, "acme/tiny-bert", tmp_path, endpoint)
    assert any(request.endswith("model.safetensors") for request in requests_seen)
    assert published["ids"] == local["ids"] == [2, 5, 6, 3]
    assert published["state"] == local["state"]


@pytest.mark.parametrize("source", ["file", "folder", "sample"])
def test_sample_and_own_rows_are_read_without_any_request(source: str, hub_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(to_jsonl(sentences([0, 1] * 10)))
    data = {"file": str(tmp_path / "train.jsonl"), "folder": str(tmp_path), "sample": "sample"}[source]
    program = f"import tlnlp.data.splits, pathlib\ntlnlp.data.splits.SAMPLES = pathlib.Path({str(tmp_path.parent)!r})\n"
    with hub_server(hub_folder) as (endpoint, requests_seen):
        argument = json.dumps(["acme/glue", "sst2", "validation", ["a", "b"], data])
        loaded, _ = run(
            program + LOAD.replace("Data(", f"Data(sample={tmp_path.name!r}, "), argument, tmp_path, endpoint
        )
    assert len(loaded["train"]["text"]) == 18
    assert requests_seen == []
    assert loaded["tried"] == []
