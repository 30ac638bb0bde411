"""SetFit, by https://huggingface.co/docs/setfit/quickstart; the columns by its guide for a trainer's own columns.

Its `evaluate` fetches the metric from the Hub, or from a folder `accuracy` beside it where there is one.
"""

import sys

from datasets import load_dataset
from setfit import SetFitModel, Trainer

TRAIN, HELD_OUT, CHECKPOINT, FOLDER = sys.argv[1:]
TEXTS = ["A film to see twice.", "Dull and far too long."]

# own rows
rows = load_dataset("csv", data_files={"train": TRAIN, "test": HELD_OUT})
columns = {"review": "text", "verdict": "label"}

# train
model = SetFitModel.from_pretrained(CHECKPOINT)
trainer = Trainer(model, train_dataset=rows["train"], eval_dataset=rows["test"], column_mapping=columns)
trainer.train()

# score
print(trainer.evaluate())

# predict
print(model.predict(TEXTS))

# save
model.save_pretrained(FOLDER)

# load in a new process
print(SetFitModel.from_pretrained(FOLDER).predict(TEXTS))
