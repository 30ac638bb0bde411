"""What it costs to notice damaged weights: seconds of one core for a file of 400 MB, by checksum.

python benchmarks/checksums.py
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
import zlib
from collections.abc import Callable

CHECKSUMS: dict[str, Callable[[bytes], object]] = {
    "CRC-32": zlib.crc32,
    "SHA-256": lambda content: hashlib.sha256(content).digest(),
    "BLAKE2b": lambda content: hashlib.blake2b(content).digest(),
    "MD5": lambda content: hashlib.md5(content).digest(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=400)
    content = os.urandom(1 << 20) * parser.parse_args().mib
    print("| checksum | seconds | GB/s |\n|---|---|---|")
    for name, compute in CHECKSUMS.items():
        began = time.process_time()
        compute(content)
        seconds = time.process_time() - began
        print(f"| {name} | {seconds:.2f} | {len(content) / max(seconds, 1e-9) / 1e9:.2f} |")


if __name__ == "__main__":
    main()
