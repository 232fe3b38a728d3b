"""Tests of both ends of every record."""
