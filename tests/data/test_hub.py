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
columns = Columns(text="sentence", label="label")
for hub, subset, dev, names, data, sample in json.loads(sys.argv[1]):
    task = Task("t", Data(hub=hub, subset=subset, dev=dev, sample=sample), columns, None, tuple(names))
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
for few_shot in json.loads(sys.argv[1]):
    splits = load_splits(task, Settings(data="hub", few_shot=few_shot))
    answer(train=splits.train.columns["text"], dev=splits.dev.columns["text"],
           transfer={name: rows.columns for name, rows in splits.target_languages.items()})
"""
)

MODEL = (
    START
    + """
import contextlib, os, torch, urllib.request
from transformers import AutoModel, AutoTokenizer
for source in json.loads(sys.argv[1]):
    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source)
    with torch.no_grad():
        state = model.eval()(**tokenizer("good film", return_tensors="pt")).last_hidden_state
    answer(ids=tokenizer("good film").input_ids, state=state.flatten().tolist())
    with contextlib.suppress(OSError):  # no such page: it is asked for so that the server notes when
        urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/loaded")
"""
)


def run(program: str, arguments: list[Any], home: Path, endpoint: str, **changes: str) -> tuple[list[Any], str]:
    """What one process of the program answered to each of the arguments, and what it wrote to the error stream."""
    # A clean environment: a token or a cache of whoever runs the tests must not decide them.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HOME": str(home / "hf"), "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "HF_ENDPOINT": endpoint} | changes
    command = [sys.executable, "-c", program, json.dumps(arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == len(arguments), done.stdout
    return answers, done.stderr


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


# (data set, part, labels of the task, those of the rows, whether they are mapped)
PUBLISHED = [
    ("acme/glue", "sst2", ["negative", "positive"], [1, 0], True),
    ("acme/glue", "sst2", ["positive", "negative"], [0, 1], False),
    ("acme/lines", "small", ["negative", "positive"], [0, 1], False),
]
REFUSED = [
    (["acme/glue", "sst2", "validation", ["bad", "good"]], "bad, good", "positive, negative", "data set"),
    (["acme/glue", "sst3", "validation", ["a", "b"]], "acme/glue sst3", "sst2", "Data"),
    (["acme/glue", "sst2", "validatoin", ["a", "b"]], "'validatoin'", "did you mean validation?", "Data"),
    (["acme/glu", "sst2", "validation", ["a", "b"]], "acme/glu on the Hub", "doesn't exist", "id"),
]
Asked = tuple[list[Any], str, list[str]]


@pytest.fixture(scope="module")
def asked(hub_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """One process that loads all of `PUBLISHED`, then of `REFUSED`: answers, errors, and requests that were seen."""
    arguments = [[hub, subset, "validation", names, "hub", None] for hub, subset, names, _, _ in PUBLISHED]
    arguments += [[*each, "hub", None] for each, *_ in REFUSED]
    with hub_server(hub_folder) as (endpoint, requests_seen):
        answers, errors = run(LOAD, arguments, tmp_path_factory.mktemp("home"), endpoint)
    return answers, errors, requests_seen


@pytest.mark.parametrize("number", range(len(PUBLISHED)))
def test_a_published_data_set_is_loaded_and_its_labels_travel_by_name(number: int, asked: Asked) -> None:
    hub, subset, _, labels, mapped = PUBLISHED[number]
    answers, errors, requests_seen = asked
    loaded = answers[number]
    assert "found" not in loaded, loaded
    assert loaded["train"] == {"text": [f"train {i}" for i in range(1, 31)], "label": labels * 15}
    assert loaded["dev"]["label"] == labels * 3
    assert loaded["origin"] == f"{hub} {subset} validation"
    assert any("mapped by name to negative, positive" in note for note in loaded["notes"]) == mapped
    assert any(f"{hub}/resolve/" in request and "/train" in request for request in requests_seen)
    assert errors == ""  # neither progress bars nor log lines


def test_each_language_is_a_part_of_its_own_and_needs_no_train_rows(hub_folder: Path, tmp_path: Path) -> None:
    with hub_server(hub_folder) as (endpoint, _):
        (loaded, few), errors = run(LANGUAGES, [None, 2], tmp_path, endpoint)
    assert len(loaded["train"]) == 20
    assert loaded["dev"] == [f"en validation {i}" for i in (1, 2, 3, 4)]
    german = [f"de test {i}" for i in range(1, 7)]
    assert loaded["transfer"] == {"de": {"text": german, "label": [0, 1] * 3}}, "Persian is not on the Hub"
    assert errors == ""
    assert set(few["train"][20:]) | set(few["transfer"]["de"]["text"]) == set(german)
    assert len(few["train"]) == 22


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_not_on_the_hub_is_refused_in_words(number: int, asked: Asked) -> None:
    _, expected, found, change = REFUSED[number]
    refusal = asked[0][len(PUBLISHED) + number]
    assert expected in refusal["expected"]
    assert found in refusal["found"]
    assert change in refusal["change"]


def test_a_hub_that_cannot_be_reached_is_refused_in_words(tmp_path: Path) -> None:
    # Offline by decree: the library's error is the one of a dead line, without its half minute of new attempts.
    argument = ["acme/glue", "sst2", "validation", ["a", "b"], "hub", None]
    (refusal,), _ = run(LOAD, [argument], tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert "access to the Hub" in refusal["expected"]
    assert "acme/glue" in refusal["found"]
    assert "HF_ENDPOINT" in refusal["change"] and "--data sample" in refusal["change"]
    assert refusal["tried"] == []


@pytest.mark.long
def test_a_model_loads_from_the_hub_as_from_its_folder_and_locally_without_any_request(
    hub_folder: Path, tmp_path: Path
) -> None:
    with hub_server(hub_folder) as (endpoint, requests_seen):
        sources = [str(hub_folder / "models" / "acme" / "tiny-bert"), "acme/tiny-bert"]
        (local, published), _ = run(MODEL, sources, tmp_path, endpoint)
    assert requests_seen[0] == "GET /loaded", "nothing before the folder was loaded"
    assert local["tried"] == []
    assert any(request.endswith("model.safetensors") for request in requests_seen)
    assert published["ids"] == local["ids"] == [2, 5, 6, 3]
    assert published["state"] == local["state"]


def test_sample_and_own_rows_are_read_without_any_request(hub_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(to_jsonl(sentences([0, 1] * 10)))
    program = f"import tlnlp.data.splits, pathlib\ntlnlp.data.splits.SAMPLES = pathlib.Path({str(tmp_path.parent)!r})\n"
    of_each = ["acme/glue", "sst2", "validation", ["a", "b"]]
    sources = (str(tmp_path / "train.jsonl"), str(tmp_path), "sample")
    with hub_server(hub_folder) as (endpoint, requests_seen):
        answers, _ = run(program + LOAD, [[*of_each, each, tmp_path.name] for each in sources], tmp_path, endpoint)
    assert requests_seen == []
    for loaded in answers:
        assert len(loaded["train"]["text"]) == 18
        assert loaded["tried"] == []
