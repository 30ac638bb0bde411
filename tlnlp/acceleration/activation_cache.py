"""Frozen layers run once: their outputs are cached on disk, and later epochs start from the cache.

While a phase freezes the lower part of a network, that part runs without dropout and gives the same output for a row
each time. These outputs are computed in one pass, in large micro-batches, and then returned in place of the last frozen
layer's. If only the head is trained and it reads a single token (feature extraction), only the state of that token is
cached: 1.5 KB per row for a hidden size of 384. Heads, loop and the network's code remain unchanged.

The cache key is a digest of everything that determines the outputs (weights, token ids, precision, ...), so that stale
outputs cannot be read. Before the cache is used, the network computes a few rows with and without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from tlnlp.acceleration.layer_skipping import CannotSkip, LayerSkip, Reads
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.errors import InputError
from tlnlp.heads.encoded import MODEL_INPUTS, EncodedDataset
from tlnlp.training.files import ASIDE, remove_abandoned, room_wanted, write_locked
from tlnlp.training.plan import cut, shard_micro_batches
from tlnlp.transfer.groups import ADAPTER

# The maximum size of the cache, and the disk space that must remain free.
MOST_BYTES, LEAST_FREE_BYTES = 64 << 30, 1 << 30


@dataclass(frozen=True)
class HeadCalls:
    """A head on the network of a run.

    Args:
        collate: returns the batch (model inputs and targets) of some items; the same in each call.
        loss: returns the summed loss of such a batch.
        logits: returns the logits for such a batch.
    """

    collate: Callable[[EncodedDataset, np.ndarray], dict[str, Any]]
    loss: Callable[[dict[str, Any]], torch.Tensor]
    logits: Callable[[dict[str, Any]], torch.Tensor]


@dataclass(frozen=True)
class CachedStates:
    """The outputs of the last frozen layer: one line per sequence, or per token.

    Args:
        lines: [sequences or tokens, width], on disk.
        offsets: [sequences + 1] the first line of each sequence; None: one line per sequence.
        dtype: the dtype of the layer's output.
    """

    lines: np.ndarray
    offsets: np.ndarray | None
    dtype: torch.dtype

    def read(self, sequences: np.ndarray) -> torch.Tensor:
        """Returns the states [sequences, longest or 1, width], padded with zeros."""
        if self.offsets is None:
            return torch.from_numpy(self.lines[sequences]).to(self.dtype).unsqueeze(1)
        lengths = self.offsets[sequences + 1] - self.offsets[sequences]
        padded = np.zeros((len(sequences), int(lengths.max()), self.lines.shape[1]), dtype=self.lines.dtype)
        for place, sequence, length in zip(padded, sequences, lengths, strict=True):
            place[:length] = self.lines[self.offsets[sequence] : self.offsets[sequence] + length]
        return torch.from_numpy(padded).to(self.dtype)


class ActivationCache:
    """Cache for the lowest `count` layers of a network (and its embeddings), which a phase freezes.

    Args:
        head: runs the head on this network.
        whole: the full embedding matrices by parameter name, if they are pruned.
        say: called with the progress of the pass over all rows.
    """

    def __init__(
        self,
        network: Any,
        count: int,
        *,
        folder: Path,
        head: HeadCalls,
        packing: PaddingFree | None,
        accelerator: Accelerator,
        max_tokens: int,
        whole: Mapping[str, torch.Tensor],
        say: Callable[[str], None],
    ) -> None:
        self.network, self.count, self.folder = network, count, folder
        with room_wanted(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.packing, self.accelerator, self.max_tokens = packing, accelerator, max_tokens
        self.shortcut = LayerSkip(network, count)
        self.reads: Reads = "all"
        self.bytes = 0
        self._state_width = 0
        self._head, self._say = head, say
        self._dtype = torch.float32
        self._stores: dict[int, tuple[EncodedDataset, CachedStates]] = {}
        self._digest = self._digest_of_weights(whole)

    # --- what is cached

    @classmethod
    def install(
        cls,
        network: Any,
        count: int,
        encoded: EncodedDataset,
        *,
        left_out: Callable[[str], None] = lambda reason: None,
        **how: Any,
    ) -> ActivationCache | None:
        """Prepares `network`. Returns None if the frozen layers must run in every epoch, since the states would fill
        the disk, or the outputs with the cache differ.

        Args:
            left_out: called with the reason in this case.
        """
        try:
            frozen = cls(network, count, **how)
        except ValueError as error:  # the same on all processes: no module is a whole layer
            left_out(str(error))
            return None
        reason = frozen._try_on(encoded)
        # Either all processes use the cache or none.
        if frozen.accelerator.reduce(torch.tensor(float(not reason), device=frozen._device), "mean") == 1:
            try:
                frozen.keep(encoded)
            except InputError as error:  # the disk has been filled in the meantime; raised on all processes
                reason = error.found
            else:
                return frozen
        frozen.remove()
        left_out(reason or "another process cannot use them")
        return None

    def _try_on(self, encoded: EncodedDataset) -> str:
        """Returns why the cache cannot be used; an empty text if it can."""
        kind = f"a {self.network.config.model_type}"
        try:
            is_same = self._answers_as_without(encoded)
        except CannotSkip as error:
            return f"{kind}: {error}"
        # A network of another structure raises whatever it raises: its layers run in every epoch.
        except Exception as error:
            return f"{kind} does not start from outputs of its layers ({type(error).__name__})"
        if not is_same:
            return f"{kind} gives other outputs when it starts from those of its layers"
        return "" if self._has_room(encoded) else "they would fill the disk"

    def _answers_as_without(self, encoded: EncodedDataset) -> bool:
        network, shortcut = self.network, self.shortcut
        some = np.argsort(encoded.lengths, kind="stable")[:: max(1, len(encoded) // 8)]
        some = cut(some, encoded.lengths, self.max_tokens, can_pad=encoded.can_pad)[0] if not encoded.can_pad else some
        batch = self._head.collate(encoded, some)
        training = network.training
        network.eval()
        try:
            with torch.no_grad():
                expected = self._head.logits(batch)
            shortcut.open(batch)
            if len(shortcut.skipped) == len(shortcut.layers):
                self.reads = shortcut.tokens_read_by_head(
                    lambda: self._head.loss(batch), encoded.sequence_lengths(some)
                )
            answered = shortcut.answer(batch)
            if answered.shape[:2] != batch["input_ids"].shape:
                raise CannotSkip("its layers see other positions than the rows have")
            self._state_width = answered.shape[-1]
            states = self._states_kept(answered, encoded, some)
            with torch.no_grad(), shortcut.answering(states):
                found = self._head.logits(self._shortened(batch, encoded, some))
            # In the precision of the run, which rounds the cached states.
            with self.accelerator.autocast():
                self._dtype = shortcut.answer(batch).dtype
        finally:
            network.train(training)
        # Relative to the largest: new weights are small, and so are their outputs.
        tolerance = 1e-4 * float(expected.abs().max())
        return expected.shape == found.shape and bool(((expected - found).abs() <= tolerance).all())

    def _lines(self, encoded: EncodedDataset) -> int:
        ids = encoded.features["input_ids"]
        return int(ids.offsets[-1]) if self.reads == "all" else len(ids)

    def _has_room(self, encoded: EncodedDataset) -> bool:
        wanted = self._bytes_of(encoded)
        there = self._path(encoded).is_file()
        return wanted <= MOST_BYTES and (there or wanted <= shutil.disk_usage(self.folder).free - LEAST_FREE_BYTES)

    # --- the pass over all rows

    def keep(self, encoded: EncodedDataset) -> None:
        """Makes sure that the states of `encoded` are cached. All processes must call it."""
        if id(encoded) not in self._stores:
            self._stores[id(encoded)] = encoded, self._find_or_compute(encoded)

    def _find_or_compute(self, encoded: EncodedDataset) -> CachedStates:
        """Reads the states from disk, or computes them, with the rows divided among the processes of a machine."""
        path, shape = self._path(encoded), (self._lines(encoded), self._state_width)
        accelerator = self.accelerator
        offsets = encoded.features["input_ids"].offsets if self.reads == "all" else None
        aside = path.with_name(f"{ASIDE}{path.name}-{self._name_of_run()}")
        accelerator.wait_for_everyone()  # all processes of a machine must see the same files
        lacking = not path.is_file()
        if self._any_process(lacking):
            with self._reserved(aside, self._bytes_of(encoded) if lacking else None) as file:
                if lacking:
                    lines = np.memmap(aside, dtype=self._kept_as, mode="r+", shape=shape)
                    self._fill(lines, offsets, encoded)
                    lines.flush()
                accelerator.wait_for_everyone()
                if file is not None:
                    os.fsync(file.fileno())
                    aside.rename(path)
            accelerator.wait_for_everyone()
        lines = np.memmap(path, dtype=self._kept_as, mode="r", shape=shape)
        self.bytes += lines.nbytes
        return CachedStates(lines, offsets, self._dtype)

    @contextlib.contextmanager
    def _reserved(self, aside: Path, size: int | None) -> Iterator[IO[bytes] | None]:
        """Creates a file of `size` bytes, locked while it is written. Yields it on the process that created it, None on
        the others of the machine. All processes must call it; those of a machine that needs no file, with None.

        Raises:
            InputError: there is no room, on any machine.
        """
        with contextlib.ExitStack() as held:
            file, failure = None, None
            if size is not None and self.accelerator.is_local_main_process:
                remove_abandoned(self.folder)
                held.callback(aside.unlink, missing_ok=True)  # it has its name by then, if it is complete
                try:
                    with room_wanted(self.folder):
                        file = held.enter_context(write_locked(aside))
                        # Writing to a memory-mapped file on a full disk would kill the process.
                        os.posix_fallocate(file.fileno(), 0, size)
                except InputError as error:
                    failure = error
            failures = self.accelerator.reduce(torch.tensor(float(failure is not None), device=self._device), "sum")
            if failures:
                raise failure or InputError(
                    expected=f"free disk space in {self.folder}",
                    found="none on another machine",
                    change="free some space, or --recompute-frozen",
                )
            yield file

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def _kept_as(self) -> np.dtype[Any]:
        return np.dtype(np.float64 if self._dtype == torch.float64 else np.float32)

    def _bytes_of(self, encoded: EncodedDataset) -> int:
        return self._lines(encoded) * self._state_width * self._kept_as.itemsize

    def _any_process(self, lacking: bool) -> bool:
        """Returns whether any process lacks the states: machines need not share the folder."""
        return any(gather_object([lacking])) if self.accelerator.num_processes > 1 else lacking

    def _name_of_run(self) -> str:
        """Returns a name that all processes of a run on one machine share, and no others: runs and machines may write
        to the same folder."""
        name = [f"{socket.gethostname()}-{os.getpid()}"]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(name)
        return f"{name[0]}-{self.accelerator.process_index - self.accelerator.local_process_index}"

    def _fill(self, file: np.ndarray, offsets: np.ndarray | None, encoded: EncodedDataset) -> None:
        micro_batches = cut(np.arange(len(encoded)), encoded.lengths, self.max_tokens, can_pad=encoded.can_pad)
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        done = 0
        for _, items in shard_micro_batches(micro_batches, self.accelerator.local_process_index, processes):
            if items is None:
                continue
            with self.accelerator.autocast():
                answered = self.shortcut.answer(self._head.collate(encoded, items)).cpu()
            # numpy has no bfloat16.
            states = self._states_kept(answered.double(), encoded, items).numpy()
            sequences = encoded.sequences_of(items)
            if offsets is None:
                file[sequences] = states[:, 0]
            else:
                for state, first, end in zip(states, offsets[sequences], offsets[sequences + 1], strict=True):
                    file[first:end] = state[: end - first]
            done += len(items) * processes
            self._say(f"frozen layers, once: {min(1.0, done / len(encoded)):.0%}")

    def _states_kept(self, states: torch.Tensor, encoded: EncodedDataset, items: np.ndarray) -> torch.Tensor:
        """Returns the states of the tokens that the head reads: [sequences, longest or 1, width]."""
        if self.reads == "all":
            return states
        return states[torch.arange(len(states)), self._places(encoded, items)].unsqueeze(1)

    def _places(self, encoded: EncodedDataset, items: np.ndarray) -> torch.Tensor:
        """Returns the index of the token that is read in each sequence: [sequences]."""
        last = torch.from_numpy(encoded.sequence_lengths(items) - 1)
        return torch.zeros_like(last) if self.reads == "first" else last

    # --- reading the cache

    @contextlib.contextmanager
    def instead(self, encoded: EncodedDataset, items: np.ndarray, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """While it is open, the frozen layers return the cached outputs of `items`. Yields the batch to use."""
        states = self._stores[id(encoded)][1].read(encoded.sequences_of(items))
        with self.shortcut.answering(states.to(self.accelerator.device)):
            yield self._shortened(batch, encoded, items)

    def _shortened(self, batch: dict[str, Any], encoded: EncodedDataset, items: np.ndarray) -> dict[str, Any]:
        """Returns the batch reduced to the token that the head reads, if it reads only one."""
        if self.reads == "all":
            return batch
        places = self._places(encoded, items).unsqueeze(1)
        return {n: v.gather(1, places.to(v.device)) if n in MODEL_INPUTS else v for n, v in batch.items()}

    def remove(self) -> None:
        """Restores the network's layers. The files remain, for other runs and for resuming."""
        self.shortcut.close()
        self._stores = {}

    # --- the cache key

    def _digest_of_weights(self, whole: Mapping[str, torch.Tensor]) -> str:
        digest = hashlib.sha256(self.network.config.to_json_string(use_diff=False).encode())
        conditions = (
            self.count, self.max_tokens, self.accelerator.mixed_precision, self.accelerator.device.type,
            self.packing is not None and self.packing.firsts_only, self.packing is not None,
            torch.__version__, transformers.__version__,
        )  # fmt: skip
        digest.update(repr(conditions).encode())
        for name, tensor in self._frozen_weights():
            digest.update(name.encode())
            digest.update(whole.get(name, tensor).detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _frozen_weights(self) -> Sequence[tuple[str, torch.Tensor]]:
        """Returns all weights except those of the layers above. The head's are not needed, but few and harmless."""
        above = {parameter for layer in self.shortcut.layers[self.count :] for parameter in layer.parameters()}
        return [(n, p) for n, p in self.network.named_parameters() if p not in above and not p.requires_grad]

    def _path(self, encoded: EncodedDataset) -> Path:
        digest = hashlib.sha256(f"{self._digest} {self.reads}".encode())
        for name, ragged in sorted(encoded.features.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(ragged.flat).tobytes())
            digest.update(np.ascontiguousarray(ragged.offsets).tobytes())
        if encoded.sequence_offsets is not None:
            digest.update(encoded.sequence_offsets.tobytes())
        return self.folder / f"{digest.hexdigest()[:24]}.states"


def frozen_layers(names: Sequence[str], learning: Mapping[str, float]) -> int:
    """Returns the number of lowest layers that are frozen: 0 if the embeddings or an adapter are trained.

    Args:
        names: names of all groups, from input to output: "embeddings", "layer 1", ..., "head".
        learning: groups that are trained.
    """
    frozen = itertools.takewhile(lambda name: name not in learning and ADAPTER not in learning, names)
    return sum(name.startswith("layer ") for name in frozen)
