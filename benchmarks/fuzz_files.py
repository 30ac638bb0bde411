"""Reads files that somebody damaged: is each read rightly, or refused in three parts, within its time and memory?

    python benchmarks/fuzz_files.py                  # 2,000 files
    python benchmarks/fuzz_files.py --files 200 --seed 7 --show

Rows are written in every form that people bring, then the bytes are damaged: a bit or byte flipped, the end cut, a
piece left out or doubled, lines swapped, two files mixed, the whole written in another encoding. What is read is
compared with what was written. A damage touches few rows, and all others must come back as they were (the rows of a
file that is cut must be its first ones; another encoding may change nothing); of mixed files only the manner is asked.

Prints one line for each form: how many were read, how many refused, and every fault: a traceback, words without three
parts, too slow, too much memory, or rows that nobody wrote. Ends with 1 if there is any.
"""

from __future__ import annotations

import argparse
import collections
import csv
import functools
import gzip
import io
import json
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow
import pyarrow.parquet

from tlnlp.data.splits import load_splits
from tlnlp.errors import InputError
from tlnlp.recipe import load_recipe

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
SECONDS, MEMORY = 20.0, 1 << 30  # for a file of a few kilobytes, on a busy machine
ROWS = 24
WORDS = (
    *("the", "soup", "was", "cold", "and", "late", "but", "Anna's", "café", "said", "naïve", "things"),
    *("3,5", "times;", "really?", "«да»", "خوب", "'quoted'", "a|b", "#1", '"so', 'it"', "[x]"),
)
LABELS = ("good", "bad", "so so")
TAGS = ("O", "B-PER", "B-LOC")


@dataclass(frozen=True)
class Form:
    """A kind of file: which recipe reads it, with what flags; how its name ends; how rows are written."""

    name: str
    recipe: str
    ending: str
    write: Callable[[list[Any]], bytes]
    flags: tuple[tuple[str, Any], ...] = ()


_dumps = functools.partial(json.dumps, ensure_ascii=False)


def _table(separator: str, quoting: int = csv.QUOTE_MINIMAL) -> Callable[[list[Any]], bytes]:
    def write(rows: list[Any]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=separator, quoting=quoting)  # type: ignore[arg-type]
        writer.writerow(["text", "label"])
        writer.writerows(rows)
        return text.getvalue().encode()

    return write


def _json_lines(rows: list[Any]) -> bytes:
    return "".join(_dumps(dict(text=a, label=b)) + "\n" for a, b in rows).encode()


def _json_list(rows: list[Any]) -> bytes:
    return _dumps([dict(text=a, label=b) for a, b in rows], indent=1).encode()


def _parquet(rows: list[Any]) -> bytes:
    held = io.BytesIO()
    table = pyarrow.table({"text": [row[0] for row in rows], "label": [row[1] for row in rows]})
    pyarrow.parquet.write_table(table, held)
    return held.getvalue()


def _conll(separator: str) -> Callable[[list[Any]], bytes]:
    def write(rows: list[Any]) -> bytes:
        return "\n".join(
            "".join(f"{word}{separator}{tag}\n" for word, tag in zip(*row, strict=True)) for row in rows
        ).encode()

    return write


def _tagged_lines(rows: list[Any]) -> bytes:
    return "".join(_dumps(dict(words=words, tags=tags)) + "\n" for words, tags in rows).encode()


def _tagged_table(written: Callable[[Any], str]) -> Callable[[list[Any]], bytes]:
    def write(rows: list[Any]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows([["words", "tags"], *([written(words), written(tags)] for words, tags in rows)])
        return text.getvalue().encode()

    return write


def _squad(rows: list[Any]) -> bytes:
    paragraphs = [
        dict(context=context, qas=[dict(id=str(i), question=question, answers=[dict(text=answer, answer_start=start)])])
        for i, (question, context, answer, start) in enumerate(rows)
    ]
    return _dumps(dict(version="1", data=[dict(title="", paragraphs=paragraphs)]), indent=1).encode()


def _flat_answers(rows: list[Any]) -> bytes:
    return "".join(
        _dumps(dict(question=q, context=c, answers=dict(text=[a], answer_start=[s]))) + "\n" for q, c, a, s in rows
    ).encode()


def _zipped(write: Callable[[list[Any]], bytes]) -> Callable[[list[Any]], bytes]:
    return lambda rows: gzip.compress(write(rows), mtime=0)


FORMS = (
    Form("csv, comma", "own_classification", ".csv", _table(",")),
    Form("csv, all quoted", "own_classification", ".csv", _table(",", csv.QUOTE_ALL)),
    Form("csv, semicolon", "own_classification", ".csv", _table(";")),
    Form("tsv", "own_classification", ".tsv", _table("\t")),
    Form("csv.gz", "own_classification", ".csv.gz", _zipped(_table(","))),
    Form("json lines", "own_classification", ".jsonl", _json_lines),
    Form("json", "own_classification", ".json", _json_list),
    Form("parquet", "own_classification", ".parquet", _parquet),
    Form("conll, blank", "own_tagging", ".conll", _conll(" ")),
    Form("conll, tab", "own_tagging", ".conll", _conll("\t")),
    Form("tagged json lines", "own_tagging", ".jsonl", _tagged_lines),
    Form("tagged csv, python lists", "own_tagging", ".csv", _tagged_table(str)),
    Form("tagged csv, json lists", "own_tagging", ".csv", _tagged_table(_dumps)),
    Form("squad", "own_answering", ".json", _squad),
    Form("answers json lines", "own_answering", ".jsonl", _flat_answers),
)


def rows_for(form: Form, draw: random.Random) -> list[Any]:
    """Rows of the kind that the form holds; no two alike, so that each can be found again."""
    rows: list[Any] = []
    for number in range(ROWS):
        words = [f"no{number}", *draw.choices(WORDS, k=draw.randrange(3, 12))]
        if form.recipe == "own_classification":
            rows.append([" ".join(words), LABELS[number % 3]])
        elif form.recipe == "own_tagging":
            rows.append([words, ["O", *draw.choices(TAGS, k=len(words) - 2), TAGS[1 + number % 2]]])
        else:
            answer = words[draw.randrange(len(words))]
            context = " ".join(words)
            rows.append([f"what is {number}?", context, answer, context.index(answer)])
    return rows


# What is done to the bytes; how many rows of those written may be missing or changed then.
def _flip(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    new = draw.choice([data[place] ^ 1 << draw.randrange(8), draw.randrange(256), draw.choice(b"\",\n\t'[]{}\\0 ")])
    return data[:place] + bytes([new]) + data[place + 1 :]


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _leave_out(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.randrange(1, 30) :]


def _double(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    end = start + draw.randrange(1, 30)
    return data[:end] + data[start:]


def _swap(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _encode(text: str, encoding: str) -> bytes:
    return text.encode(encoding, errors="replace")


DAMAGES: dict[str, tuple[Callable[[bytes, random.Random], bytes], int | None]] = {
    "flipped": (_flip, 2),
    "cut": (_cut, None),
    "left out": (_leave_out, 4),
    "doubled": (_double, 4),
    "swapped": (_swap, 4),
}
ENCODINGS = ("utf-16", "utf-8-sig", "cp1252", "latin-1", "cp1251", "utf-16-le", "utf-32")


def read(form: Form, path: Path) -> list[Any]:
    """The rows of the file, as they were written, in the order of the file."""
    recipe = load_recipe(str(RECIPES / f"{form.recipe}.py"))
    settings = recipe.settings(data=str(path), no_cache=True, **dict(form.flags))
    splits = load_splits(recipe.task, settings)
    found: list[tuple[int, Any]] = []
    for part in (splits.train, splits.dev):
        columns, names = part.columns, part.labels
        for i, number in enumerate(part.numbers.tolist()):
            if form.recipe == "own_answering":
                given = columns["answers"][i]
                answer = (given["text"] or [None])[0], (given["answer_start"] or [None])[0]
                row = [str(columns["question"][i]), str(columns["context"][i]), *answer]
            elif form.recipe == "own_tagging":
                row = [list(columns["words"][i]), [names[tag] for tag in columns["tags"][i]]]  # type: ignore[index]
            else:
                row = [str(columns["text"][i]), names[columns["label"][i]]]  # type: ignore[index]
            found.append((number, row))
    return [row for _, row in sorted(found, key=lambda each: each[0])]


def judge(found: list[Any], written: list[Any], damage: str) -> str | None:
    """None if the rows are right; else what is wrong with them."""
    if damage == "mixed":
        return None
    if damage == "encoded":
        return None if found == written else "another encoding changed the rows"
    originals = [json.dumps(row) for row in written]
    there = [json.dumps(row) for row in found]
    changed = sum(1 for row in there if row not in originals)
    missing = len(set(originals) - set(there))
    allowed = DAMAGES[damage][1]
    if allowed is None:
        # The first rows, and after them one that may have lost its end.
        return None if there[:-1] == originals[: len(there) - 1] else f"{len(there)} rows, not the first ones"
    return None if max(changed, missing) <= allowed else f"{changed} rows changed, {missing} missing"


def make(number: int, seed: int) -> tuple[Form, str, bytes, list[Any]]:
    """The `number`-th damaged file: its form, the damage, its bytes, the rows that were written."""
    draw = random.Random(f"{seed} {number}")
    form = FORMS[number % len(FORMS)]
    rows = rows_for(form, draw)
    data = form.write(rows)
    damage = draw.choice([*DAMAGES, "mixed", "encoded"])
    packed = form.ending.endswith(".gz") and draw.random() < 0.7
    data = gzip.decompress(data) if packed else data  # mostly what is inside is damaged
    if damage == "mixed":
        other = draw.choice(FORMS)
        rest = other.write(rows_for(other, draw))
        data = data[: draw.randrange(len(data))] + rest[draw.randrange(len(rest)) :]
    elif damage == "encoded":
        try:
            encoding = draw.choice(ENCODINGS)
            data = _encode(data.decode(), encoding)
            # Signs that the encoding lacks were lost by whoever wrote the file.
            rows = json.loads(_encode(json.dumps(rows, ensure_ascii=False), encoding).decode(encoding))
        except UnicodeDecodeError:
            pass  # a packed file has no other encoding
    else:
        data = DAMAGES[damage][0](data, draw)
    return form, damage, gzip.compress(data, mtime=0) if packed else data, rows


def answer(number: int, seed: int, folder: Path) -> tuple[str, str]:
    """("read" | "refused" | "fault", what was said)."""
    form, damage, data, rows = make(number, seed)
    path = folder / f"{number}{form.ending}"
    path.write_bytes(data)
    try:
        wrong = judge(read(form, path), rows, damage)
        outcome = ("read", "") if wrong is None else ("fault", f"silently wrong: {wrong}")
    except InputError as error:
        whole = all(part.strip() for part in (error.expected, error.found, error.change))
        outcome = ("refused", str(error)) if whole else ("fault", f"not three parts: {error}")
    except MemoryError:
        outcome = ("fault", "more than a gibibyte")
    except Exception:
        outcome = ("fault", traceback.format_exc(limit=-3))
    path.unlink()
    return outcome


def _work(pipe: Any, seed: int, folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    while (number := pipe.recv()) is not None:
        pipe.send(answer(number, seed, folder))


class Reader:
    """A process that reads; a new one takes its place if it is too slow or dies."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.folder = seed, folder
        self.start()

    def start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_work, args=(end, self.seed, self.folder), daemon=True)
        self.process.start()
        end.close()

    def ask(self, number: int) -> tuple[str, str]:
        self.pipe.send(number)
        try:
            if self.pipe.poll(SECONDS):
                return self.pipe.recv()
            said = f"more than {SECONDS:.0f} s"
        except EOFError:
            said = "the process died"
        self.process.kill()
        self.process.join()
        self.start()
        return "fault", said

    def stop(self) -> None:
        self.pipe.send(None)
        self.process.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print each refusal")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="read one of the files, and print it")
    asked = parser.parse_args()
    tally: dict[str, collections.Counter[str]] = {form.name: collections.Counter() for form in FORMS}
    with tempfile.TemporaryDirectory() as folder:
        if asked.only is not None:
            form, damage, data, _ = make(asked.only, asked.seed)
            print(form.name, damage, data, *answer(asked.only, asked.seed, Path(folder)), sep="\n")
            return 0
        reader = Reader(asked.seed, Path(folder))
        for number in range(asked.files):
            outcome, said = reader.ask(number)
            form, damage, *_ = make(number, asked.seed)
            tally[form.name][outcome] += 1
            if outcome == "fault" or asked.show:
                print(f"file {number}, {form.name}, {damage}: {outcome}: {said}", flush=True)
        reader.stop()
    print("\n| form | files | read rightly | refused in words | faults |\n|---|---:|---:|---:|---:|")
    whole: collections.Counter[str] = sum(tally.values(), collections.Counter())
    for name, counts in [*tally.items(), ("all", whole)]:
        print(f"| {name} | {counts.total():,} | {counts['read']:,} | {counts['refused']:,} | {counts['fault']} |")
    return int(whole["fault"] > 0)


if __name__ == "__main__":
    sys.exit(main())
