"""The parts of `benchmarks/gpu.py`. Each is a generator of records (JSON values) and runs in its own process."""
