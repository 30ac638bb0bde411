"""Teaches the student that `student.py` has begun: it follows an English teacher's vectors in six languages.

    python research/mini/teach.py CORPORA TEACHER runs/mini/start runs/mini/taught --updates 20000

Reimers and Gurevych 2020 (the student's vector of a line follows the teacher's of its English translation), for words
as well (the mean of a word's pieces; TinyBERT: Jiao et al. 2020), while masked words are guessed. Which rows, and what
the teacher reads beside them: `teaching_rows.py`. The vectors follow in all but a few directions of the teacher's
space: what is left free can say which language a word is in, which the word head needs.

An update depends on its number alone, so a stopped run goes on to the same bits (`--updates` may grow in between, as
long as the rate has not begun to fall: it is constant and falls in a line over the last fifth).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import torch
import transformers
from teaching_rows import Updates
from torch.nn.functional import cosine_similarity, cross_entropy

FOLLOWED = 352  # of the teacher's 384 directions; they hold 99.7 % of its variance
WEIGHTS = dict(words=2.0, rows=2.0, middle=1.0, guesses=0.4)
STEADY, WARMUP = 0.8, 200
LOGGED, SAVED, LOOKED = 100, 200, 1000


def directions(teacher, updates: Updates) -> torch.Tensor:
    """[FOLLOWED, width]: principal directions of the teacher's vectors of tokens, the first ones."""
    with torch.no_grad():
        batches = [batch for number in range(2, 26) for batch in updates[number]]
        found = torch.cat([
            teacher(input_ids=each["teacher_ids"], attention_mask=each["teacher_attention"])
            .last_hidden_state[each["teacher_attention"].bool()] for each in batches
        ])  # fmt: skip
    _, vectors = torch.linalg.eigh(found.T.double() @ found.double())
    return vectors.flip(1)[:, :FOLLOWED].T.float().contiguous()


def means(hidden: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """[words, width]: the mean of each word's pieces."""
    inside = words >= 0
    number = int(words.max()) + 1
    sums = hidden.new_zeros(number, hidden.shape[-1]).index_add_(0, words[inside], hidden[inside])
    counts = torch.bincount(words[inside], minlength=number).clamp_min(1)
    return sums / counts[:, None]


def row_means(hidden: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
    inside = attention[..., None].to(hidden.dtype)
    return (hidden * inside).sum(1) / inside.sum(1)


def losses(student, teacher, followed: torch.Tensor, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each term's sum over its items."""
    with torch.no_grad():
        taught = teacher(
            input_ids=batch["teacher_ids"], attention_mask=batch["teacher_attention"], output_hidden_states=True
        )
        targets = [
            each.float() for each in (taught.hidden_states[len(taught.hidden_states) // 2], taught.last_hidden_state)
        ]
    read = student.bert(input_ids=batch["ids"], attention_mask=batch["attention"], output_hidden_states=True)
    middle, last = (each.float() for each in (read.hidden_states[len(read.hidden_states) // 2], read.last_hidden_state))
    own, other = batch["pairs"].T

    def apart(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        return (1 - cosine_similarity(one, two, dim=-1)).sum()

    hidden = batch["labels"] != -100
    return dict(
        words=apart(
            means(last, batch["words"])[own] @ followed.T, means(targets[1], batch["teacher_words"])[other] @ followed.T
        ),
        middle=apart(means(middle, batch["words"])[own], means(targets[0], batch["teacher_words"])[other]),
        rows=apart(
            row_means(last, batch["attention"]) @ followed.T,
            row_means(targets[1], batch["teacher_attention"]) @ followed.T,
        ),
        guesses=cross_entropy(
            student.cls(read.last_hidden_state[hidden]).float(), batch["labels"][hidden], reduction="sum"
        ),
    )


def counts(batch: dict[str, torch.Tensor]) -> dict[str, int]:
    """How many items each term has."""
    words = len(batch["pairs"])
    return dict(words=words, middle=words, rows=len(batch["ids"]), guesses=int((batch["labels"] != -100).sum()))


def rate(update: int, updates: int) -> float:
    falling = (updates - update) / (updates * (1 - STEADY))
    return min(1.0, (update + 1) / WARMUP, falling)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("start", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--stop-at", type=int, help="update to stop at for now")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--rows-times", type=int, default=1, help="so many times the rows in an update (on a GPU)")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare rows")
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


class Lesson:
    """Student, teacher and optimiser on one device, and what they have done so far."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(asked.start)
        teacher_tokenizer = transformers.AutoTokenizer.from_pretrained(asked.teacher)
        teacher = transformers.AutoModel.from_pretrained(asked.teacher).eval()
        student = transformers.AutoModelForMaskedLM.from_pretrained(
            asked.start, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        self.taught = Updates(asked.corpora, self.tokenizer, teacher_tokenizer, times=asked.rows_times)
        self.held_out = Updates(
            asked.corpora, self.tokenizer, teacher_tokenizer, held_out=True, translator=self.taught.translator
        )
        self.followed = directions(teacher, self.taught).to(self.device)
        self.teacher, self.student = teacher.to(self.device), student.to(self.device).train()
        self.optimizer = torch.optim.AdamW(
            self.student.parameters(), asked.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.update, self.tokens = 0, 0
        self.place, self.log = asked.folder / "state.pt", asked.folder / "log.jsonl"
        asked.folder.mkdir(parents=True, exist_ok=True)
        if self.place.exists():
            self.resume()

    def resume(self) -> None:
        state = torch.load(self.place, map_location=self.device)
        self.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.update, self.tokens = state["update"], state["tokens"]
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("".join(f"{line}\n" for line in lines if json.loads(line)["update"] <= self.update))

    def save(self) -> None:
        state = dict(student=self.student.state_dict(), optimizer=self.optimizer.state_dict())
        aside = self.place.with_suffix(".writing")
        torch.save(state | dict(update=self.update, tokens=self.tokens), aside)
        os.replace(aside, self.place)

    def compute(self, batches: list[dict[str, torch.Tensor]], learn: bool) -> dict[str, torch.Tensor]:
        """Each term's mean over the items of all batches; with `learn`, its gradients."""
        sizes = {name: max(1, sum(counts(each)[name] for each in batches)) for name in WEIGHTS}
        means = {name: torch.zeros((), device=self.device) for name in WEIGHTS}
        for batch in batches:
            batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
            with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
                terms = losses(self.student, self.teacher, self.followed, batch)
            terms = {name: term / sizes[name] for name, term in terms.items()}
            if learn:
                torch.stack([WEIGHTS[name] * term for name, term in terms.items()]).sum().backward()
            means = {name: means[name] + term.detach() for name, term in terms.items()}
        return means

    def learn(self, batches: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """One update; each term's loss."""
        terms = self.compute(batches, learn=True)
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.asked.learning_rate * rate(self.update, self.asked.updates)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.tokens += sum(int(each["attention"].sum()) for each in batches)
        self.update += 1
        return terms

    def look(self) -> dict[str, float]:
        """Each term on 16 updates' rows that are never learnt from."""
        with torch.no_grad():
            looks = [self.compute(self.held_out[number], learn=False) for number in range(16)]
        return {name: round(float(sum(each[name] for each in looks)) / 16, 4) for name in looks[0]}

    def run(self) -> None:
        first, end = self.update, min(self.asked.updates, self.asked.stop_at or self.asked.updates)
        batches = torch.utils.data.DataLoader(
            self.taught, batch_size=None, sampler=range(first, end), num_workers=self.asked.workers,
            prefetch_factor=4 if self.asked.workers else None,
        )  # fmt: skip
        sums: dict[str, torch.Tensor] = {}
        began = time.perf_counter()
        for batch in batches:
            sums = {name: sums.get(name, 0) + term for name, term in self.learn(batch).items()}
            if self.update % LOGGED == 0:
                entry = {name: round(float(each) / LOGGED, 4) for name, each in sums.items()}
                entry = dict(update=self.update, tokens=self.tokens, **entry)
                sums = {}
                if self.update % LOOKED == 0:
                    entry["held_out"] = self.look()
                with self.log.open("a") as file:
                    file.write(json.dumps(entry) + "\n")
                print(entry, f"{(self.update - first) / (time.perf_counter() - began):.2f} updates/s", flush=True)
            if self.update % SAVED == 0 or self.update == end:
                self.save()


def main() -> None:
    asked = arguments()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    lesson = Lesson(asked)
    lesson.run()
    student = lesson.student
    student.config.hidden_dropout_prob = student.config.attention_probs_dropout_prob = 0.1
    student.save_pretrained(asked.folder / "model")
    lesson.tokenizer.save_pretrained(asked.folder / "model")


if __name__ == "__main__":
    main()
