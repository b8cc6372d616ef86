"""One runner for every figure about speed: `python -m benchmarks`, or `make bench`.

Figures of one run may be compared with each other; figures of two runs only as ratios, because
machines are shared and noisy.
"""
