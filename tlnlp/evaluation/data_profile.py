"""Data profile: label balance, lengths, duplicate and leaked rows, tokenizer statistics.

Nothing here raises an error: invalid rows raise errors when they are read. Findings are sentences for the user.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows, Splits
from tlnlp.display.formatting import percent
from tlnlp.heads.truncation import tokens_of

# A word, a punctuation mark, or one character of a script without spaces (Chinese, Japanese, Thai).
WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")
# Roles with text. Endings are left out, since they repeat.
TEXTS = ("text", "text_pair", "question", "context")
OTHERS = re.compile(r"\(([\d,]+) other labels\)")
# The tokenizer statistics use this many rows of each split, which is accurate to about 1 %.
SOME_ROWS = 5_000
SHOWN = 3  # rows named in a finding
LABELS_SHOWN = 6
MOST_LABELS = 100  # whose numbers of rows are recorded
MANY_UNKNOWN = 0.01  # of tokens
# A label is rare with fewer rows than RARE_SHARE of the most frequent label's, or than RARE_ROWS (a fourth of the most
# frequent label's rows, if that is less).
RARE_SHARE, RARE_ROWS = 0.05, 5


def describe_data(splits: Splits, tokenizer: Any, max_length: int) -> dict[str, Any]:
    """Returns {"splits": {name: facts}, "findings": [sentences]} of all splits.

    Args:
        tokenizer: None: no tokenizer statistics.
    """
    parts = {"train": splits.train, "dev": splits.dev, **({"test": splits.test} if splits.test else {})}
    parts |= splits.extra_splits
    keys = {name: FoldedTexts.of(rows) for name, rows in parts.items()}
    facts = {name: describe_rows(rows, keys[name], tokenizer, max_length) for name, rows in parts.items()}
    findings = [words for name, rows in parts.items() for words in _find_in(name, rows, keys[name], facts[name])]
    for described in facts.values():
        described["labels"] = shorten(described["labels"])
    for name, rows in parts.items():
        if name != "train":
            findings += _find_leaks(name, rows, keys[name], splits.train, keys["train"])
    return {"splits": facts, "findings": findings}


@dataclass(frozen=True)
class FoldedTexts:
    """The texts of rows after `fold`, of which only hashes are in memory: two texts with the same one are compared.

    Args:
        words: [rows] number of words, before `fold`.
        hashes: [rows] of the folded text.
        empty: the rows without any text, ascending.
        groups: rows with the same text, each ascending, in the order of their first rows; only those of several rows.
    """

    rows: Rows
    words: np.ndarray
    hashes: np.ndarray
    empty: list[int]
    groups: list[list[int]]

    @classmethod
    def of(cls, rows: Rows) -> FoldedTexts:
        """Goes through the texts of all rows once."""
        words, hashes, empty = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int64), []
        for row, text in enumerate(texts_of(rows)):
            key = fold(text)
            words[row], hashes[row] = len(text.split()), hash(key)
            if not key:
                empty.append(row)
        order = np.argsort(hashes, kind="stable")
        bounds = np.flatnonzero(np.diff(hashes[order], prepend=hashes[order[:1]] - 1, append=hashes[order[-1:]] + 1))
        several = [order[bounds[i] : bounds[i + 1]].tolist() for i in np.flatnonzero(np.diff(bounds) > 1)]
        groups = [group for alike in several for group in _same_texts(rows, alike)]
        return cls(rows, words, hashes, empty, sorted(groups))

    def first_like(self, others: FoldedTexts) -> list[tuple[int, int]]:
        """Returns (row, the first row of `others` with the same text) for each row that has one; empty texts are like
        none."""
        ordered = np.argsort(others.hashes, kind="stable")
        places = np.searchsorted(others.hashes, self.hashes, sorter=ordered)
        pairs = []
        for row in np.flatnonzero(np.isin(self.hashes, others.hashes)).tolist():
            key = fold(text_of(self.rows, row))
            for place in range(int(places[row]), len(ordered)):
                other = int(ordered[place])
                if others.hashes[other] != self.hashes[row]:
                    break
                if key and fold(text_of(others.rows, other)) == key:
                    pairs.append((row, other))
                    break
        return pairs


def _same_texts(rows: Rows, alike: Sequence[int]) -> list[list[int]]:
    """Returns those of the rows `alike` (by their hashes) that have the same text, if it is not empty."""
    of_texts = defaultdict(list)
    for row in alike:
        of_texts[fold(text_of(rows, row))].append(row)
    return [group for text, group in of_texts.items() if text and len(group) > 1]


def describe_rows(rows: Rows, keys: FoldedTexts, tokenizer: Any, max_length: int) -> dict[str, Any]:
    """Profiles one split: number of rows, labels, lengths, duplicates."""
    words = np.sort(keys.words)
    median = (int(words[(len(words) - 1) // 2]), int(words[len(words) // 2]))
    repeated = sum(len(group) - 1 for group in keys.groups) + max(0, len(keys.empty) - 1)
    described: dict[str, Any] = {
        "origin": rows.origin,
        "rows": len(rows),
        "labels": count_labels(rows),
        "words": {
            "median": median[0] if len(words) % 2 else sum(median) / 2,
            "high": float(np.percentile(words, 95)),
            "most": int(words[-1]),
        },
        "empty": len(keys.empty),
        "repeated": repeated,
    }
    if tokenizer is not None:
        texts = list(islice(texts_of(rows), SOME_ROWS))
        described["tokens"] = describe_tokens(texts, tokenizer, max_length)
    return described


def describe_tokens(texts: Sequence[str], tokenizer: Any, max_length: int) -> dict[str, float]:
    """Returns lengths in tokens, the fractions of too long rows and of unknown tokens, and tokens per word (fertility:
    Rust et al. 2021)."""
    pieces = tokens_of(tokenizer, texts)
    lengths = np.array([len(each) for each in pieces])
    unknown = tokenizer.unk_token_id
    known = unknown is None or unknown == tokenizer.eos_token_id  # GPT-2 has no unknown token
    flat = np.concatenate([np.asarray(each, dtype=np.int64) for each in pieces]) if len(texts) else np.array([])
    return {
        "median": float(np.median(lengths)),
        "high": float(np.percentile(lengths, 95)),
        "most": int(lengths.max()),
        "limit": max_length,
        "long_fraction": float((lengths > max_length).mean()),
        "unknown_fraction": 0.0 if known or not len(flat) else float((flat == unknown).mean()),
        "pieces_per_word": float(lengths.sum() / max(1, sum(len(WORD.findall(text)) for text in texts))),
    }


def find_in_tokens(splits: Splits, facts: Mapping[str, Any]) -> list[str]:
    """Returns findings about the tokenizer on these rows, from the `facts` of `describe_data`."""
    findings = []
    reads = "are split into windows" if {"words", "context"} & set(splits.train.columns) else "are truncated"
    for name, part in facts["splits"].items():
        tokens = part["tokens"]
        if tokens["long_fraction"]:
            share, limit = percent(tokens["long_fraction"]), tokens["limit"]
            findings.append(f"{name}: {share} of rows are longer than {limit} tokens and {reads}")
        if tokens["unknown_fraction"] > MANY_UNKNOWN:
            findings.append(f"{name}: {percent(tokens['unknown_fraction'])} of tokens are unknown to the tokenizer")
    return findings


def text_of(rows: Rows, row: int) -> str:
    """Joins all texts of a row."""
    parts = [rows.columns[role][row] for role in TEXTS if role in rows.columns]
    parts += [" ".join(rows.columns["words"][row])] if "words" in rows.columns else []
    parts += rows.columns["endings"][row] if "endings" in rows.columns else []
    return " ".join(parts)


def texts_of(rows: Rows) -> Iterator[str]:
    """Yields `text_of` each row, in order."""
    parts: list[Iterable[Iterable[str]]] = [
        ((text,) for text in rows.columns[role]) for role in TEXTS if role in rows.columns
    ]
    parts += [((" ".join(words),) for words in rows.columns["words"])] if "words" in rows.columns else []
    parts += [rows.columns["endings"]] if "endings" in rows.columns else []
    for texts in zip(*parts, strict=True):
        yield " ".join(chain.from_iterable(texts))


def fold(text: str) -> str:
    """Normalises a text for comparisons: case, whitespace and punctuation at the ends are ignored."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    return " ".join(words).strip(".,;:!?\"' ")


def count_labels(rows: Rows) -> dict[str, int]:
    """Returns {label: rows}, most frequent first; words per tag; questions with and without an answer; {} for
    numbers."""
    names = rows.labels or ()
    if "tags" in rows.columns:
        found = Counter(names[tag] for tags in rows.columns["tags"] for tag in tags)
    elif "answers" in rows.columns:
        found = Counter("an answer" if each["text"] else "no answer" for each in rows.columns["answers"])
    elif "label" not in rows.columns or isinstance(rows.columns["label"][0], float):
        return {}
    elif "endings" in rows.columns:
        found = Counter(f"ending {place + 1}" for place in rows.columns["label"])
    else:
        found = Counter(
            names[i] for label in rows.columns["label"] for i in (label if isinstance(label, tuple) else (label,))
        )
    return dict(found.most_common())


def shorten(labels: Mapping[str, int]) -> dict[str, int]:
    """Returns the most frequent labels; the others are one line with their sum, so that shares stay right."""
    if len(labels) <= MOST_LABELS:
        return dict(labels)
    most = dict(list(labels.items())[:MOST_LABELS])
    others = f"({len(labels) - MOST_LABELS:,} other labels)"
    return most | {others: sum(labels.values()) - sum(most.values())}


def _find_leaks(name: str, rows: Rows, keys: FoldedTexts, train: Rows, of_train: FoldedTexts) -> list[str]:
    """Finds rows that are also in train: a score on them measures memorisation."""
    if not (leaks := keys.first_like(of_train)):
        return []
    shown = name_pairs(leaks, rows, train, "is")
    return [f"{name}: {_rows(len(leaks))} ({percent(len(leaks) / len(rows))}) also in train: {shown}"]


def name_pairs(pairs: Sequence[tuple[int, int]], rows: Rows, train: Rows, how: str) -> str:
    """Returns 'row 2 is row 1, row 7 is row 3, ...', with the numbers of the rows in their source."""
    shown = [f"row {rows.numbers[row]} {how} row {train.numbers[there]}" for row, there in pairs[:SHOWN]]
    return ", ".join(shown + ["..."] * (len(pairs) > SHOWN))


def share_labels(labels: dict[str, int]) -> str:
    """Returns 'positive 55.0%, negative 45.0%', with the most frequent labels only."""
    whole = max(1, sum(labels.values()))
    shown = [f"{label} {percent(count / whole)}" for label, count in list(labels.items())[:LABELS_SHOWN]]
    more = len(labels) - LABELS_SHOWN
    if len(labels) > MOST_LABELS and (last := OTHERS.fullmatch(next(reversed(labels)))):
        more += int(last[1].replace(",", "")) - 1
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _find_in(name: str, rows: Rows, keys: FoldedTexts, facts: Mapping[str, Any]) -> list[str]:
    findings = []
    if keys.empty:
        findings.append(f"{name}: {_rows(len(keys.empty))} without any text: {_numbers(rows, keys.empty)}")
    findings += _find_repeated(name, rows, keys)
    findings += _find_rare(name, facts["labels"], rows)
    return findings


def _find_repeated(name: str, rows: Rows, keys: FoldedTexts) -> list[str]:
    """Finds duplicate rows, and those of them whose labels disagree."""
    if not (several := keys.groups):
        return []
    findings = []
    shown = "; ".join(_numbers(rows, each) for each in several[:SHOWN])
    repeated = sum(len(each) - 1 for each in several)
    findings.append(f"{name}: {_rows(repeated)} ({percent(repeated / len(rows))}) duplicated: {shown}")
    if "label" in rows.columns:
        torn = [each for each in several if len({rows.columns["label"][row] for row in each}) > 1]
        if torn:
            shown = "; ".join(_numbers(rows, each) for each in torn[:SHOWN])
            findings.append(f"{name}: the same text with different labels, {len(torn):,} times: {shown}")
    return findings


def _find_rare(name: str, labels: Mapping[str, int], rows: Rows) -> list[str]:
    if len(labels) < 2 or "tags" in rows.columns or "endings" in rows.columns:
        return []
    most = max(labels.values())
    enough = max(RARE_SHARE * most, min(RARE_ROWS, most / 4))
    rare = {label: count for label, count in labels.items() if count < enough}
    if not rare:
        return []
    shown = ", ".join(f"{label} {count:,}" for label, count in list(rare.items())[:SHOWN])
    more = f" and {len(rare) - SHOWN:,} more" if len(rare) > SHOWN else ""
    return [f"{name}: rare labels: {shown}{more}, where {next(iter(labels))} has {most:,} (--class-weights balanced?)"]


def _numbers(rows: Rows, places: Sequence[int]) -> str:
    """Returns 'rows 3, 7, 12, ...'."""
    shown = ", ".join(str(rows.numbers[place]) for place in places[:SHOWN])
    return f"row{'s' if len(places) > 1 else ''} {shown}" + (", ..." if len(places) > SHOWN else "")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
