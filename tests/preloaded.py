"""What each forked process would otherwise do anew, done once in the server that they are forked from.

Nothing here may start a thread or take a gradient: a process that is forked afterwards could not use them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib

import torch
import transformers

from tests.recipe_runs import load_recipe

# transformers compiles some thousand patterns when it loads the first checkpoint: a third of a short run's time.
with contextlib.suppress(ImportError):  # a version without them
    importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("bert")
# So do the parser of the command line, and the tensors without content on which layers are found.
load_recipe("sst2").parse(["--epochs", "1"], "")
with torch.device("meta"), torch.no_grad():
    shape = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    network = transformers.BertModel(transformers.BertConfig(**shape, intermediate_size=4)).eval()
    network(input_ids=torch.zeros(1, 2, dtype=torch.long))
# The garbage collector of each process would go through all of it, and copy the memory that processes share.
gc.freeze()
