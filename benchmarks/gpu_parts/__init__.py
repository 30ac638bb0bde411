"""The parts of `benchmarks/gpu.py`. Each is a generator of records (plain JSON values), run in a process of its own."""
