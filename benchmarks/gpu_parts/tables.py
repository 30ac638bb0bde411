"""Makes the printed tables from the records of all parts."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

TrainingLog = dict[str, Any]
TITLES = {
    "trainer": "(a) Trainer, as the examples call it",
    "trainer_tuned": "(b) Trainer, tuned",
    "trainer_compiled": "(b) with torch.compile",
    "ours_fp32": "(c) ours, fp32",
    "ours_bf16": "(c) ours, bf16",
    "ours_bf16_padded": "(c) with padding",
    "ours_bf16_whole": "(c) --max-tokens 65536",
    "ours_compiled": "(c) --max-tokens 65536 --compile",
}


def tables(whole: dict[str, Any]) -> str:
    """Returns all tables that have records, as Markdown."""
    records: list[TrainingLog] = whole["records"]
    parts = (
        machine,
        ceilings,
        speed,
        learning,
        losses,
        determinism,
        shortcuts,
        precision,
        resume,
        profiles,
        pretraining,
    )
    lines = [line for part in parts for line in part(records)]
    lines += ["", f"{whole['seconds']:.0f} seconds in all."]
    lines += [f"Failed: {failed}" for failed in whole["failed"]]
    return "\n".join(lines) + "\n"


def of_kind(records: Iterable[TrainingLog], kind: str) -> list[TrainingLog]:
    return [record for record in records if record["kind"] == kind]


def table(title: str, heads: Sequence[str], rows: list[list[Any]], after: Sequence[str] = ()) -> list[str]:
    """Returns a table with a title; [] without rows. The first column is text, the others are numbers."""
    if not rows:
        return []
    ruler = ["---", *["---:"] * (len(heads) - 1)]
    cells = [[str(cell) for cell in row] for row in rows]
    return ["", f"## {title}", "", *("| " + " | ".join(line) + " |" for line in (heads, ruler, *cells)), *after]


def shown(value: Any, form: str = ",.0f") -> str:
    return "-" if value is None else format(value, form)


def machine(records: list[TrainingLog]) -> list[str]:
    lines = []
    for each in of_kind(records, "machine")[:1]:
        libraries = ", ".join(
            f"{k} {v}" for k, v in each.items() if k not in ("kind", "part", "at_seconds", "card", "date")
        )
        lines += [f"{each['card']}, {each['date']}: {libraries}"]
    return lines


def ceilings(records: list[TrainingLog]) -> list[str]:
    rows = [
        [f"{r['precision']} product of {r['side']:,} x {r['side']:,}", f"{r['tflops']:,.1f} TFLOP/s"]
        for r in of_kind(records, "product")
    ]
    rows += [
        [f"copy of {r['gib']:.2g} GiB, bytes read and written", f"{r['gb_per_second']:,.0f} GB/s"]
        for r in of_kind(records, "copy")
    ]
    return table("Ceilings", ("what", "rate"), rows)


def speed(records: list[TrainingLog]) -> list[str]:
    """Returns medians over rounds. A ratio is the median of the ratios within a round."""
    measured = of_kind(records, "speed")
    ceiling = next((r["tflops"] for r in of_kind(records, "product") if r["precision"] == "bf16"), None)
    shapes = {r["shape"]: r for r in of_kind(records, "shape")}
    lines: list[str] = []
    for shape, batch_size in dict.fromkeys((r["shape"], r["batch_size"]) for r in measured):
        cell = [r for r in measured if (r["shape"], r["batch_size"]) == (shape, batch_size)]
        rows = []
        for arm in [name for name in TITLES if any(r["arm"] == name for r in cell)]:
            mine = [r for r in cell if r["arm"] == arm and "failed" not in r]
            if not mine:
                why = next(r["failed"] for r in cell if r["arm"] == arm)
                rows.append([TITLES[arm], why.partition(":")[0], *["-"] * 7])
                continue
            rate = statistics.median(r["rows_per_second"] for r in mine)
            share = None
            if ceiling and shape in shapes:
                share = rate * shapes[shape]["operations_per_row"] / (ceiling * 1e12)
            first = next((r for r in mine if "busy" in r), {})
            memory = max((r["gib"] for r in mine if "gib" in r), default=None)
            rows.append(
                [
                    TITLES[arm], shown(rate), ratio(cell, arm, "trainer"), ratio(cell, arm, "trainer_tuned"),
                    shown(share, ".1%"), shown(memory, ".1f"), shown(first.get("busy"), ".0%"),
                    shown(first.get("host_ms"), ".1f"), shown(statistics.median(r["update_ms"] for r in mine), ".1f"),
                ]
            )  # fmt: skip
        heads = (
            "arm",
            "rows/s",
            "to (a)",
            "to (b)",
            "of the bf16 ceiling",
            "peak GiB",
            "GPU busy",
            "host ms",
            "update ms",
        )
        tokens = f", {shapes[shape]['mean_tokens']:.1f} tokens a row" if shape in shapes else ""
        lines += table(f"Speed: bert-base, {shape} rows{tokens}, {batch_size} an update", heads, rows)
    return lines


def ratio(cell: list[TrainingLog], arm: str, rival: str) -> str:
    learning_rates = {(r["arm"], r["round"]): r["rows_per_second"] for r in cell if "failed" not in r}
    pairs = [
        learning_rates[arm, n] / learning_rates[rival, n]
        for name, n in learning_rates
        if name == rival and (arm, n) in learning_rates
    ]
    return f"{statistics.median(pairs):.2f}" if pairs else "-"


def learning(records: list[TrainingLog]) -> list[str]:
    rows = []
    for arm in ("trainer_tuned", "ours_bf16"):
        found = [r["accuracy"] for r in of_kind(records, "learning") if r["arm"] == arm and "accuracy" in r]
        if found:
            spread = f"{statistics.stdev(found):.4f}" if len(found) > 1 else "-"
            rows.append(
                [
                    TITLES[arm],
                    f"{statistics.mean(found):.4f}",
                    spread,
                    f"{min(found):.4f} to {max(found):.4f}",
                    len(found),
                ]
            )
    rows_read = next((r["rows"] for r in of_kind(records, "learning") if "rows" in r), 0)
    return table(
        f"Learning: mini, {rows_read:,} rows of SST-2, one epoch",
        ("arm", "dev accuracy", "std", "seeds", "number"),
        rows,
    )


def losses(records: list[TrainingLog]) -> list[str]:
    """Compares the GPU's losses in fp32 with the CPU's."""
    found = {(r["head"], r["where"]): r for r in of_kind(records, "losses")}
    rows = []
    for head in dict.fromkeys(head for head, _ in found):
        cpu, gpu = (found.get((head, where), {}).get("losses") for where in ("cpu", "gpu"))
        if cpu is None or gpu is None:
            said = [found[key]["failed"] for key in found if key[0] == head and "failed" in found[key]]
            rows.append([head, "; ".join(said) or "-", "-", "-"])
            continue
        apart = [abs(one - other) / max(1e-9, abs(one)) for one, other in zip(cpu, gpu, strict=True)]
        rows.append([head, f"{apart[0]:.1e}", f"{max(apart):.1e}", "yes" if max(apart) <= 1e-4 else "no"])
    return table(
        "Parity: losses in fp32, GPU beside CPU, relative difference",
        ("head", "first update", f"largest of {updates_of(found)}", "within 1e-4"),
        rows,
    )


def updates_of(found: dict[Any, TrainingLog]) -> int:
    return max((len(r["losses"]) for r in found.values() if "losses" in r), default=0)


def yes(value: Any) -> str:
    return "-" if value is None else ("yes" if value else "no")


def determinism(records: list[TrainingLog]) -> list[str]:
    plain = {r["head"]: r for r in of_kind(records, "losses") if r["where"] == "gpu"}
    rows = []
    for r in of_kind(records, "determinism"):
        without = "; ".join(r.get("operations", [r.get("failed", "")])) or "none"
        rows.append([r["head"], yes(plain.get(r["head"], {}).get("same_bits")), yes(r.get("same_bits")), without])
    heads = ("head", "as it is", "deterministic algorithms", "operations without one")
    return table("The same seed twice: are the weights the same bits?", heads, rows)


def shortcuts(records: list[TrainingLog]) -> list[str]:
    found = {(r["kind"], r["head"]): r for r in records if r["kind"] in ("padding_free", "frozen")}

    def cell(kind: str, head: str) -> str:
        record = found.get((kind, head), {})
        if "difference" not in record:
            return record.get("failed", "-")
        return f"{record['difference']:.1e}" if record["installed"] else "left out"

    rows = [
        [head, cell("padding_free", head), cell("frozen", head)] for head in dict.fromkeys(head for _, head in found)
    ]
    return table(
        "Shortcuts on and off: largest relative difference of the losses, fp32",
        ("head", "padding-free layers", "frozen layers run once"),
        rows,
    )


def precision(records: list[TrainingLog]) -> list[str]:
    rows = [
        [r["head"], r.get("metric", r.get("failed")), shown(r.get("fp32"), ".4f"), shown(r.get("bf16"), ".4f")]
        for r in of_kind(records, "precision")
    ]
    return table(
        "Scores by precision: bundled samples, three epochs, one seed", ("head", "metric", "fp32", "bf16"), rows
    )


def resume(records: list[TrainingLog]) -> list[str]:
    rows = []
    for r in of_kind(records, "resume"):
        if "failed" in r:
            rows.append([r["precision"], r["failed"], "-", "-", "-"])
        else:
            rows.append(
                [
                    r["precision"],
                    yes(r["same_again"]),
                    yes(r["same_resumed"]),
                    f"{r['largest_difference']:.1e}",
                    r["killed_after_update"],
                ]
            )
    return table(
        "Killed and resumed, dropout on: the same bits as a run that was left alone?",
        ("precision", "a second run", "a resumed run", "largest difference of a weight", "killed after update"),
        rows,
    )


def profiles(records: list[TrainingLog]) -> list[str]:
    lines: list[str] = []
    for r in of_kind(records, "profile"):
        if "failed" in r:
            lines += ["", f"profile of {r['shape']}: {r['failed']}"]
            continue
        said = (
            f"{r['update_ms']:.1f} ms under the profiler, {r['kernels']:.0f} kernels and copies in "
            f"{r['kernel_ms']:.1f} ms, {r['gap_ms']:.1f} ms between them ({r['long_gaps']:.0f} gaps above 0.05 ms, "
            f"the longest {r['longest_gap_ms']:.2f} ms)."
        )
        rows = [[each["name"], f"{each['share']:.1%}", f"{each['calls']:.0f}"] for each in r["largest"]]
        waits = [f"- {count:.1f} x {place}" for place, count in r["waits"].items()]
        waits = ["", "Waits for the GPU in an update:", "", *waits] if waits else []
        lines += table(
            f"An update of ours, bf16, {r['shape']} rows, 32 an update",
            ("kernel", "share", "calls"),
            rows,
            ["", said, *waits],
        )
    return lines


def pretraining(records: list[TrainingLog]) -> list[str]:
    rows = []
    for r in of_kind(records, "pretraining"):
        if "failed" in r:
            rows.append([r["network"], r["batch_size"], r["failed"], *["-"] * 4])
            continue
        rows.append(
            [
                r["network"],
                r["batch_size"],
                f"{r['weights']:,}",
                shown(r["tokens_per_second"]),
                f"{r['update_ms']:.1f}",
                shown(r.get("busy"), ".0%"),
                shown(r.get("gib"), ".1f"),
            ]
        )
    return table(
        "Pre-training, bf16, rows of 128 tokens",
        ("network", "rows an update", "weights", "tokens/s", "update ms", "GPU busy", "peak GiB"),
        rows,
    )
