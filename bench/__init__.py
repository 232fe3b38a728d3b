"""Measurements: `make bench` for the main path, `make measure-index` for what an index costs."""
