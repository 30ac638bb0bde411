"""tlnlp, by README.md, "From Python"."""

import sys

import tlnlp

TRAIN, HELD_OUT, CHECKPOINT, FOLDER = sys.argv[1:]
TEXTS = ["A film to see twice.", "Dull and far too long."]

# own rows
rows = {"train": TRAIN, "validation": HELD_OUT}
columns = {"text": "review", "label": "verdict"}

# train
run = tlnlp.train("own_classification", rows, columns=columns, model=CHECKPOINT, output_dir=FOLDER)

# score
print(run.metrics)

# predict
print([each.prediction for each in run.model.predict(TEXTS)])

# load in a new process
print([each.prediction for each in tlnlp.load(FOLDER).predict(TEXTS)])
