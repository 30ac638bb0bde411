"""fastai's text learner, by https://docs.fast.ai/tutorial.text.html.

It has a network of its own, an LSTM, and takes no checkpoint. `pretrained=False` since its weights have to be
downloaded: without these words the code is as long.
"""

import sys

import pandas as pd
from fastai.text.all import AWD_LSTM, TextDataLoaders, accuracy, load_learner, text_classifier_learner

TRAIN, HELD_OUT, CHECKPOINT, FOLDER = sys.argv[1:]
TEXTS = ["A film to see twice.", "Dull and far too long."]

# own rows
rows = pd.concat([pd.read_csv(TRAIN).assign(held_out=False), pd.read_csv(HELD_OUT).assign(held_out=True)])
loaders = TextDataLoaders.from_df(rows, text_col="review", label_col="verdict", valid_col="held_out")

# train
learner = text_classifier_learner(loaders, AWD_LSTM, metrics=accuracy, pretrained=False)
learner.fine_tune(4, 1e-2)

# score
print(learner.validate())

# predict
print([learner.predict(text)[0] for text in TEXTS])

# save
learner.export(f"{FOLDER}.pkl")

# load in a new process
print([load_learner(f"{FOLDER}.pkl").predict(text)[0] for text in TEXTS])
