"""The reader: bytes, lines, whole objects."""
