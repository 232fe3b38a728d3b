"""Bytes to batches of columns: `inflate.py` undoes gzip, `text.py` reads lines by their header."""
