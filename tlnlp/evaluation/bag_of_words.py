"""Baselines without a network: a bag-of-words classifier, or each word's most frequent tag."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from tlnlp.data.rows import Rows
from tlnlp.evaluation.data_profile import texts_of
from tlnlp.evaluation.predictions import name_label
from tlnlp.evaluation.scoring import measure
from tlnlp.task import MultiLabel, Prediction, Regression, Task

BAG_OF_WORDS = "bag of words (tf-idf of unigrams and bigrams, logistic regression)"
NEAREST = "bag of words (the most similar train row by tf-idf of unigrams and bigrams)"
# A logistic regression of more labels takes gigabytes.
MOST_LABELS = 200
ROWS_AT_ONCE = 500
USUAL_TAG = "each word's most frequent tag"


def score_baseline(task: Task, train: Rows, dev: Rows) -> tuple[str, dict[str, float]] | None:
    """Returns the baseline's name and its metrics on `dev`; None if there is none (endings, questions, plain text)."""
    if "tags" in train.columns:
        return USUAL_TAG, measure(task, _tag(train, dev), dev)
    if "label" not in train.columns or "endings" in train.columns:
        return None
    name = BAG_OF_WORDS if len(train.labels or ()) <= MOST_LABELS else NEAREST
    return name, measure(task, _classify(task, train, dev), dev)


def _classify(task: Task, train: Rows, dev: Rows) -> list[Prediction]:
    reader = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    features = reader.fit_transform(_texts(train))
    asked, labels, names = reader.transform(_texts(dev)), train.columns["label"], train.labels or ()
    if isinstance(task.labels, Regression):
        found = Ridge().fit(features, labels).predict(asked)
        return [Prediction(float(value), float(value)) for value in found]
    if len(names) > MOST_LABELS:
        said = [name_label(labels[row], names) for row in _nearest(features, asked)]
        return [Prediction(each) for each in said]
    classifier = LogisticRegression(C=10, max_iter=1_000)
    if isinstance(task.labels, MultiLabel):
        held = MultiLabelBinarizer(classes=range(len(names))).fit_transform(labels)
        found = OneVsRestClassifier(classifier).fit(features, held).predict(asked)
        return [Prediction([name for name, yes in zip(names, line, strict=True) if yes]) for line in found]
    found = classifier.fit(features, labels).predict(asked)
    return [Prediction(names[index]) for index in found]


def _nearest(features: Any, asked: Any) -> list[int]:
    """Returns for each row of `asked` the most similar row of `features`, by the cosine."""
    found: list[int] = []
    for first in range(0, asked.shape[0], ROWS_AT_ONCE):
        found += (asked[first : first + ROWS_AT_ONCE] @ features.T).toarray().argmax(1).tolist()
    return found


def _texts(rows: Rows) -> list[str]:
    return list(texts_of(rows))


def _tag(train: Rows, dev: Rows) -> list[Prediction]:
    names = train.labels or ()
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for words, tags in zip(train.columns["words"], train.columns["tags"], strict=True):
        for word, tag in zip(words, tags, strict=True):
            seen[word][tag] += 1
    usual = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
    (most, _) = sum(seen.values(), Counter[int]()).most_common(1)[0]
    return [Prediction([names[usual.get(word, most)] for word in words]) for words in dev.columns["words"]]
