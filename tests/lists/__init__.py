"""Tests of databases, ranges and lists from outside."""
