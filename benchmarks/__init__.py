"""What is measured, against what, in one run: `make bench` runs all, `make bench ARGS=booking` one.

Each module here has `async def measure() -> dict` and prints a table; results are written to
`benchmarks/results/NAME.json`. Machines differ and are noisy, so claims are CPU per operation or ratios within one
run, never times of another day.
"""
