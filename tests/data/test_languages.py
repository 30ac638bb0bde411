"""Rows of several languages: where each is found, what is learnt from, and that nothing learnt from is answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import make_task, sentences, to_jsonl
from tlnlp import heads
from tlnlp.data import Splits, load_splits, splits
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Task

Rows = list[dict[str, Any]]
LABELS = [0, 1] * 20


def task_of(*languages: str, data: Data | None = None, columns: Columns | None = None) -> Task:
    columns = columns or Columns(text="sentence", label="label")
    target_languages = dict.fromkeys(languages, data or Data(sample="reviews"))
    names = ("negative", "positive")
    return Task(
        "reviews", data or Data(sample="reviews"), columns, heads.sentence, names, target_languages=target_languages
    )


def put(folder: Path, **files: Rows) -> Path:
    """en__train=rows goes to folder/en/train.jsonl, de=rows to folder/de.jsonl."""
    for name, rows in files.items():
        path = folder / (name.replace("__", "/") + ".jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_jsonl(rows))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """English to learn from; German, French and Chinese to answer, of different sizes."""
    return put(
        tmp_path / "data",
        en__train=sentences(LABELS),
        en__validation=sentences([0, 1, 1], "dev"),
        de__validation=sentences([1, 0] * 4, "zeile"),
        fr__test=sentences([1, 0] * 5, "ligne"),
        zh__validation=sentences([1, 0] * 6, "hang"),
    )


def load(task: Task, folder: Path | str, **settings: Any) -> Splits:
    return load_splits(task, Settings(data=str(folder), **settings))


def texts(loaded: Mapping[str, Any]) -> dict[str, list[str]]:
    return {language: rows.columns["text"] for language, rows in loaded.items()}


def test_a_language_is_a_folder_and_the_tasks_own_is_learnt_from(folder: Path) -> None:
    loaded = load(task_of("de", "fr"), folder)
    assert loaded.language == "en"
    assert (len(loaded.train), len(loaded.dev)) == (40, 3)
    assert list(loaded.target_languages) == ["de", "fr"]
    assert loaded.target_languages["de"].columns["text"][0] == "zeile 1"
    assert loaded.target_languages["fr"].columns["text"][0] == "ligne 1", "test rows where there are no others"


def test_what_a_folder_has_beyond_the_tasks_languages_is_answered_where_it_is_asked_for(folder: Path) -> None:
    assert "zh" not in load(task_of("de"), folder).target_languages
    assert list(load(task_of("de"), folder, languages=("zh", "de")).target_languages) == ["zh", "de"]


def test_a_task_of_one_language_gets_others_with_a_folder_of_theirs(folder: Path, tmp_path: Path) -> None:
    """Somebody's own reviews, and a file for each further language."""
    own = put(tmp_path / "own", reviews=sentences(LABELS))
    others = put(tmp_path / "others", de=sentences([1, 0], "zeile"), fa=sentences([0, 1], "خط"))
    loaded = load(make_task(), own / "reviews.jsonl", transfer_data=str(others))
    assert texts(loaded.target_languages) == {"de": ["zeile 1", "zeile 2"], "fa": ["خط 1", "خط 2"]}
    assert loaded.language == "en"
    assert load(make_task(), folder / "en").target_languages == {}
    assert load(make_task(), folder / "en").language is None


@pytest.mark.parametrize("flag", ["train_language", "languages"])
def test_a_language_that_is_not_there_is_refused_with_those_that_are(folder: Path, flag: str) -> None:
    with pytest.raises(InputError, match="some of en, de, fr, zh, each once") as refusal:
        load(task_of("de", "fr"), folder, **{flag: ("ed",)})
    assert refusal.value.found.startswith("ed")
    with pytest.raises(InputError, match="de twice"):
        load(task_of("de", "fr"), folder, **{flag: ("de", "de")})


@pytest.mark.parametrize(
    "settings", [{"languages": ("de",)}, {"train_language": ("de",)}, {"few_shot": 2}, {"show_oracle": True}]
)
def test_flags_for_languages_are_refused_where_there_is_one(folder: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="has only one language") as refusal:
        load(make_task(), folder / "en", **settings)
    assert "--transfer-data" in refusal.value.change


def test_another_language_can_be_learnt_from_and_english_be_answered(folder: Path) -> None:
    put(folder, de__train=sentences(LABELS, "zug"))
    loaded = load(task_of("de", "fr"), folder, train_language=("de",))
    assert loaded.language == "de"
    assert loaded.train.columns["text"][0] == "zug 1"
    assert loaded.dev.columns["text"][0] == "zeile 1"
    assert list(loaded.target_languages) == ["en", "fr"]
    assert loaded.target_languages["en"].columns["text"] == ["dev 1", "dev 2", "dev 3"]


def test_translated_train_rows_are_a_second_source(folder: Path) -> None:
    """Translate-train-all; what is watched stays the first language's."""
    put(folder, de__train=sentences(LABELS, "zug"))
    loaded = load(task_of("de", "fr"), folder, train_language=("en", "de"))
    assert len(loaded.train) == 80
    assert loaded.train.columns["text"][::40] == ["row 1", "zug 1"]
    assert loaded.train.columns["label"] == LABELS * 2
    assert loaded.dev.columns["text"] == ["dev 1", "dev 2", "dev 3"]
    assert list(loaded.target_languages) == ["de", "fr"]
    assert loaded.train.origin == "en/train.jsonl and de/train.jsonl"


def test_a_second_source_needs_train_rows(folder: Path) -> None:
    with pytest.raises(InputError, match="train"):
        load(task_of("de", "fr"), folder, train_language=("en", "fr"))


# --- no row is answered that was learnt from, in whatever language


def triples(language: str) -> Rows:
    """Translated rows, three of each premise."""
    return [
        {"premise": f"{language} premise {i // 3}", "hypothesis": f"{language} hypothesis {i}", "label": i % 2}
        for i in range(60)
    ]


def test_where_translated_sets_have_no_train_rows_some_are_learnt_from_and_answered_in_no_language(
    tmp_path: Path,
) -> None:
    columns = Columns(text="premise", text_pair="hypothesis", label="label")
    folder = put(tmp_path / "xnli", **{f"{each}__validation": triples(each) for each in ("en", "de", "fr")})
    loaded = load(task_of("de", "fr", columns=columns), folder)
    assert len(loaded.train) == 48
    assert len(loaded.dev) == 12, "a fifth"
    learnt = {text.split()[-1] for text in loaded.train.columns["text"]}
    for rows in (loaded.dev, *loaded.target_languages.values()):
        assert len(rows) == 12
        assert not learnt & {text.split()[-1] for text in rows.columns["text"]}, "no premise is on both sides"
    assert loaded.target_languages["de"].numbers.tolist() == loaded.dev.numbers.tolist()
    assert any("48 rows dropped that are train rows" in note for note in loaded.notes)


def test_sets_of_another_size_are_no_translations_and_stay_whole(folder: Path) -> None:
    loaded = load(task_of("de", "fr"), folder, train_language=("zh",), languages=("de", "fr", "en"))
    assert {language: len(rows) for language, rows in loaded.target_languages.items()} == {"de": 8, "fr": 10, "en": 3}
    assert len(loaded.train) + len(loaded.dev) == 12


def test_a_few_rows_of_each_language_are_drawn_from_its_train_rows(folder: Path) -> None:
    put(folder, de__train=sentences(LABELS, "zug"))
    loaded = load(task_of("de"), folder, few_shot=4)
    few = loaded.train.columns["text"][40:]
    assert len(few) == 4
    assert all(text.startswith("zug") for text in few)
    assert sorted(loaded.train.columns["label"][40:]) == [0, 0, 1, 1], "balanced as the rows are"
    assert len(loaded.target_languages["de"]) == 8, "nothing is taken from what is answered"
    again = load(task_of("de"), folder, few_shot=4, seed=1)
    assert again.train.columns["text"][40:] != few


def test_without_train_rows_the_few_are_taken_from_those_to_answer_in_every_language(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "data",
        en__train=sentences(LABELS),
        en__validation=sentences([0, 1] * 5, "dev"),
        de__validation=sentences([0, 1] * 5, "zeile"),
        fr__validation=sentences([0, 1] * 4, "ligne"),
    )
    loaded = load(task_of("de", "fr"), folder, few_shot=2)
    few = loaded.train.columns["text"][40:]
    german = {text.split()[1] for text in few if text.startswith("zeile")}
    french = {text.split()[1] for text in few if text.startswith("ligne")}
    assert len(german) == len(french) == 2
    answered = {
        language: {text.split()[1] for text in each} for language, each in texts(loaded.target_languages).items()
    }
    assert not german & answered["de"]
    assert len(answered["de"]) == 8
    assert not french & answered["fr"]
    assert len(answered["fr"]) == 6, "of another size than German: no translation of it"
    assert not german & {text.split()[1] for text in loaded.dev.columns["text"]}, (
        "the English rows are of German's size"
    )


@pytest.mark.parametrize("keep", ["last", "best"])
def test_english_rows_that_are_reported_are_no_translations_of_the_few_however_they_were_cut(
    tmp_path: Path, keep: str
) -> None:
    """Sets without train rows: English dev rows, and those to choose on, are cut from what German translates."""
    folder = put(
        tmp_path / "data", en__validation=sentences([0, 1] * 20, "dev"), de__validation=sentences([0, 1] * 20, "zeile")
    )
    loaded = load(task_of("de"), folder, few_shot=3, keep=keep)
    numbers = {text.split()[1] for text in loaded.train.columns["text"]}
    encoded_eval = loaded.test or loaded.dev
    assert len([text for text in loaded.train.columns["text"] if text.startswith("zeile")]) == 3
    for rows in (encoded_eval, loaded.target_languages["de"]):
        assert not numbers & {text.split()[1] for text in rows.columns["text"]}
    if keep == "best":
        chosen_on = {text.split()[1] for text in loaded.dev.columns["text"]}
        assert not chosen_on & {text.split()[1] for text in loaded.target_languages["de"].columns["text"]}


def test_more_few_rows_than_there_are_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"--few-shot with fewer rows than de/validation\.jsonl has \(8"):
        load(task_of("de"), folder, few_shot=8)


def test_rows_without_a_label_are_left_out_where_that_is_how_the_set_is(folder: Path) -> None:
    rows = [*sentences([1, 0], "zeile"), {"sentence": "weder noch", "label": None}]
    put(folder, de__validation=rows)
    loaded = load(task_of("de", data=Data(partly_labelled=True)), folder)
    assert loaded.target_languages["de"].columns["text"] == ["zeile 1", "zeile 2"]
    assert any("1 rows without a label left out" in note for note in loaded.notes)
    with pytest.raises(InputError, match="a label in every row"):
        load(task_of("de"), folder)


def test_a_language_has_no_say_in_which_tags_there_are(tmp_path: Path) -> None:
    def tagged(*tags: str) -> Rows:
        return [{"words": ["a"] * len(tags), "tags": list(tags)}] * 3

    folder = put(
        tmp_path / "data", en__train=tagged("NOUN", "VERB"), en__validation=tagged("NOUN"), de__validation=tagged("X")
    )
    task = Task("tags", Data(), Columns(words="words", tags="tags"), heads.tag, target_languages={"de": Data()})
    with pytest.raises(InputError, match="one of NOUN, VERB") as refusal:
        load(task, folder)
    assert "de/validation" in refusal.value.found


def test_the_samples_of_a_language_lie_beside_the_english_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are its first rows, translated: what is learnt from in German is not answered in French."""
    monkeypatch.setattr(splits, "SAMPLES", tmp_path)
    put(
        tmp_path / "reviews",
        train=sentences(LABELS),
        validation=sentences([0, 1] * 10, "dev"),
        de__validation=sentences([0, 1] * 5, "zeile"),
        fr__validation=sentences([0, 1] * 5, "ligne"),
    )
    loaded = load(task_of("de", "fr", "fa"), "sample")
    assert list(loaded.target_languages) == ["de", "fr"], "those there are"
    german = load(task_of("de", "fr"), "sample", train_language=("de",))
    learnt = {text.split()[1] for text in german.train.columns["text"]}
    assert len(learnt) == 8
    assert not learnt & {text.split()[1] for text in german.target_languages["fr"].columns["text"]}
    assert len(german.target_languages["en"]) == 12
