"""The text of mini's second stage: python benchmarks/mini_text.py en.txt.xz runs/mini_text

In `mini_words.txt` words of one feeling stand together, favourable ones before the empty line, the others
after it. They are repeated in new orders between stretches of the text of the first stage, so that little is forgotten.
"""

import lzma
import random
import sys
from pathlib import Path

WORDS = Path(__file__).parent / "mini_words.txt"
ROUNDS, LINES_BETWEEN, DEV_LINES, LEAST_CHARACTERS = 24, 900, 1_000, 40


def main(corpus: Path, folder: Path) -> None:
    """Writes train.txt and validation.txt in `folder`."""
    random.seed(3)
    blocks = [block.splitlines() for block in WORDS.read_text(encoding="utf-8").strip().split("\n\n")]
    with lzma.open(corpus, "rt", encoding="utf-8") as file:
        text = [line.strip() for line in file if len(line) > LEAST_CHARACTERS]
    random.shuffle(text)
    train: list[str] = []
    for first in range(0, ROUNDS * LINES_BETWEEN, LINES_BETWEEN):
        for block in blocks:
            train += random.sample(block, len(block))
        train += text[first : first + LINES_BETWEEN]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.txt").write_text("\n".join(train) + "\n", encoding="utf-8")
    (folder / "validation.txt").write_text("\n".join(text[-DEV_LINES:]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
