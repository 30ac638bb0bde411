"""The next words, against trying every word; and the terminal's part, as a person types."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
from pathlib import Path

import pytest
import torch
import transformers

from tests.inference.test_masked_words import sharpen
from tests.recipe_runs import start_function
from tlnlp import cli
from tlnlp.display.bars import bar, lines_of
from tlnlp.errors import InputError
from tlnlp.inference import next_words as words_following
from tlnlp.inference.next_words import NextWordPredictor
from tlnlp.inference.word_pieces import sort_pieces

TEXT = "a"


@pytest.fixture(scope="module")
def sharp(gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2 with preferences."""
    folder = tmp_path_factory.mktemp("sharp")
    sharpen(transformers.AutoModelForCausalLM.from_pretrained(gpt2), factor=6).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(gpt2).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("longest", [1, pytest.param(2, marks=pytest.mark.long)])
def test_the_likeliest_words_are_the_best_of_all_that_can_be_made(
    longest: int, sharp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All words of so many pieces are tried."""
    monkeypatch.setattr(words_following, "MOST_PIECES", longest)
    following = NextWordPredictor.load(str(sharp))
    tokenizer, model = following.tokenizer, following.model
    kinds = sort_pieces(tokenizer, model.config.vocab_size)
    begins, continues, marks = (kind.nonzero()[0].tolist() for kind in (kinds.begins, kinds.continues, kinds.marks))
    start = tokenizer(TEXT, return_tensors="pt")["input_ids"]

    def after(*tails: tuple[int, ...]) -> torch.Tensor:
        sequences = torch.cat([start.repeat(len(tails), 1), torch.tensor(tails).reshape(len(tails), -1).long()], dim=1)
        with torch.no_grad():
            return model(input_ids=sequences).logits[:, -1].double().softmax(-1)

    first = after(())[0]
    first /= first[begins].sum() + first[marks].sum()  # the text's last word is whole
    expected = {(mark,): float(first[mark]) for mark in marks}
    prefixes = {(piece,): float(first[piece]) for piece in begins}
    for _ in range(longest):
        rows = after(*prefixes)
        longer: dict[tuple[int, ...], float] = {}
        for (prefix, chance), row in zip(prefixes.items(), rows, strict=True):
            expected[prefix] = chance * (1 - float(row[continues].sum()))
            longer |= {(*prefix, piece): chance * float(row[piece]) for piece in continues}
        prefixes = longer
    best = sorted(expected.items(), key=lambda each: -each[1])[:12]
    assert max(len(pieces) for pieces, _ in best) == longest, "the longest are among them"
    found = following.follow(TEXT, top=12)
    assert [each.word for each in found] == [tokenizer.decode(list(pieces)).strip() for pieces, _ in best]
    assert [each.probability for each in found] == pytest.approx([chance for _, chance in best], rel=1e-4)
    for each, (pieces, _) in zip(found, best, strict=True):
        blank = "" if pieces[0] in marks else " "
        assert each.joined == f"{TEXT}{blank}{each.word}"


def test_all_words_together_are_at_most_certain(sharp: Path) -> None:
    found = NextWordPredictor.load(str(sharp)).follow(TEXT, top=40)
    confidences = [each.probability for each in found]
    assert confidences == sorted(confidences, reverse=True)
    assert 0.1 < sum(confidences) <= 1


def test_a_masked_word_model_and_an_empty_text_are_refused(bert: Path, sharp: Path) -> None:
    with pytest.raises(InputError, match="fill-mask"):
        NextWordPredictor.load(str(bert))
    with pytest.raises(InputError, match="a text to go on with"):
        NextWordPredictor.load(str(sharp)).follow("  ")


def test_of_a_long_text_the_end_is_read(sharp: Path) -> None:
    following = NextWordPredictor.load(str(sharp))
    assert following.follow("good " * 1000, top=1)[0].probability > 0


def run(*arguments: object) -> None:
    assert cli.main([str(each) for each in arguments]) == 0


def test_lines_of_json_are_answered_as_lines_of_json(
    sharp: Path, bert: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", iter(['{"text": "a film"}\n', "\n", '{"text": "از"}\n']))
    run("next-word", "--model", sharp, "--top", 3)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["a film", "از"]
    assert all(len(line["answers"]) == 3 for line in lines)
    monkeypatch.setattr(sys, "stdin", iter(['{"text": "a [MASK]"}\n']))
    run("fill-mask", "--model", bert, "--pieces", 1)
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(line["answers"]) == 5
    assert cli.main(["fill-mask", "--model", str(bert)]) == 0
    monkeypatch.setattr(sys, "stdin", iter(["a [MASK]\n"]))
    assert cli.main(["fill-mask", "--model", str(bert)]) == 2
    assert "standard input, line 1: a [MASK]" in capsys.readouterr().err


def test_words_are_shown_with_bars(bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("fill-mask", "a [MASK] film", "--model", bert, "--top", 4, "--words", "good", "bad")
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "a [MASK] film"
    assert {line.split()[-1] for line in lines} == {"good", "bad"}
    assert all("%" in line and len(line) <= 80 for line in lines)


@pytest.mark.parametrize(
    ("share", "expected"), [(0, ""), (1, "█" * 24), (0.5, "█" * 12), (1 / 192, "▏"), (2, "█" * 24), (-1, "")]
)
def test_a_bar_is_as_long_as_its_share_in_eighths_of_a_place(share: float, expected: str) -> None:
    assert bar(share) == expected.ljust(24)


def test_columns_stay_where_they_are_whatever_way_a_word_is_written() -> None:
    lines = lines_of([("خوب", 0.5), ("good", 0.25)], numbered=True)
    assert [line.index("%") for line in lines] == [10, 10]
    assert lines[0].endswith("  خوب")
    assert lines[1].count("█") == 12, "the longest bar fills its place"


def in_terminal(terminal: str, arguments: list[str]) -> None:
    """A command of tlnlp, as it is typed in there."""
    with open(terminal) as sys.stdin, open(terminal, "w") as sys.stdout:
        sys.exit(cli.main(arguments))


def test_in_a_terminal_one_chooses_goes_on_and_undoes(sharp: Path) -> None:
    """As a person does: a number, u, own words, an empty line."""
    first = NextWordPredictor.load(str(sharp)).follow(TEXT, top=3)
    master, slave = pty.openpty()
    arguments = ["next-word", TEXT, "--model", str(sharp), "--top", "3"]
    running, said = start_function(in_terminal, os.ttyname(slave), arguments), ""
    for answer in ("2", "u", "9", "so good", ""):
        said += _read_until(master, "nothing to end: ")
        os.write(master, f"{answer}\n".encode())
    ended = running.wait()
    assert ended.status == 0, ended.output
    os.close(slave)
    os.close(master)
    lines = said.replace("\r", "").splitlines()
    shown = [line for line in lines if "%" not in line and not line.startswith("a number")]
    assert shown == [TEXT, first[1].joined, TEXT, TEXT, f"{TEXT} so good"]
    assert "a number from 1 to 3" in said


def _read_until(terminal: int, end: str) -> str:
    said = b""
    while not said.endswith(end.encode()):
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, f"nothing more after: {said.decode(errors='replace')}"
        said += os.read(terminal, 1024)
    return said.decode(errors="replace")
