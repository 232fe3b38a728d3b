"""Tests of exporter.install."""
