"""sentence-transformers' features, by https://sbert.net/docs/quickstart.html, and scikit-learn's logistic regression on
them, saved by https://scikit-learn.org/stable/model_persistence.html.
"""

import sys

import joblib
import pandas as pd
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

TRAIN, HELD_OUT, CHECKPOINT, FOLDER = sys.argv[1:]
TEXTS = ["A film to see twice.", "Dull and far too long."]

# own rows
train = pd.read_csv(TRAIN)
held_out = pd.read_csv(HELD_OUT)

# train
encoder = SentenceTransformer(CHECKPOINT)
classifier = LogisticRegression().fit(encoder.encode(train["review"].tolist()), train["verdict"])

# score
print(classifier.score(encoder.encode(held_out["review"].tolist()), held_out["verdict"]))

# predict
print(classifier.predict(encoder.encode(TEXTS)))

# save
encoder.save(FOLDER)
joblib.dump(classifier, f"{FOLDER}/classifier.joblib")

# load in a new process
classifier = joblib.load(f"{FOLDER}/classifier.joblib")
print(classifier.predict(SentenceTransformer(FOLDER).encode(TEXTS)))
