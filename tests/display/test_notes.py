"""Notes of one kind are one line, and nothing that they say is lost."""

from __future__ import annotations

from tlnlp.display.notes import condense


def test_notes_that_differ_in_origin_and_numbers_are_one_line() -> None:
    notes = [
        "columns: text, label",
        "reviews.jsonl: 1,464 rows (65.0%) truncated to 16 tokens",
        "de.jsonl: 113 rows (94.2%) truncated to 16 tokens",
        "labels found: good, bad",
        "fr.jsonl: 111 rows (92.5%) truncated to 16 tokens",
    ]
    assert condense(notes) == [
        "columns: text, label",
        "rows truncated to 16 tokens: reviews.jsonl 1,464 (65.0%), de.jsonl 113 (94.2%), fr.jsonl 111 (92.5%)",
        "labels found: good, bad",
    ]


def test_the_same_of_several_files_names_them_all() -> None:
    notes = [f"{file}: its labels are hidden, so nothing is reported on it" for file in ("a", "b")]
    assert condense(notes) == ["a, b: its labels are hidden, so nothing is reported on it"]


def test_a_note_of_its_own_kind_stays_as_it_is() -> None:
    notes = ["dev: 200 rows cut from train.csv, seed 0", "train: 64 of 714 rows drawn, seed 0", "a note of no file"]
    assert condense(notes) == notes
    assert condense([]) == []


def test_a_file_twice_is_named_twice() -> None:
    """Texts and pairs of one file may both be truncated: other words, other lines."""
    notes = ["a: 3 rows truncated (text)", "a: 4 rows truncated (text_pair)", "b: 5 rows truncated (text)"]
    assert condense(notes) == ["rows truncated (text): a 3, b 5", "a: 4 rows truncated (text_pair)"]
