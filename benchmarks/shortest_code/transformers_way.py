"""transformers' Trainer, by https://huggingface.co/docs/transformers/tasks/sequence_classification."""

import sys

from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, pipeline

TRAIN, HELD_OUT, CHECKPOINT, FOLDER = sys.argv[1:]
TEXTS = ["A film to see twice.", "Dull and far too long."]

# own rows
rows = load_dataset("csv", data_files={"train": TRAIN, "test": HELD_OUT})
rows = rows.rename_column("verdict", "label").class_encode_column("label")
names = dict(enumerate(rows["train"].features["label"].names))
tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
rows = rows.map(lambda batch: tokenizer(batch["review"], truncation=True), batched=True)

# train
model = AutoModelForSequenceClassification.from_pretrained(CHECKPOINT, id2label=names)
trainer = Trainer(model, TrainingArguments(FOLDER), train_dataset=rows["train"], processing_class=tokenizer)
trainer.train()

# score
output = trainer.predict(rows["test"])
print((output.predictions.argmax(-1) == output.label_ids).mean())

# predict
print(pipeline("text-classification", model=model, tokenizer=tokenizer)(TEXTS))

# save
trainer.save_model()

# load in a new process
print(pipeline("text-classification", FOLDER)(TEXTS))
