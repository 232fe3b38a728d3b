"""Tests of exporter.sink."""
