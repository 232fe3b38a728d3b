"""Bytes to batches of columns, by content: `reader.py` tells what an object is, and who reads it.

inflate     gzip, and gzip within gzip
text        lines: by `formats` (whose fields are they), `dialects` (how are they written), then whole by `columns`,
            or where anything is odd one by one by `lines` and `examined`
messages    log events in JSON to lines
parquet     row groups, after `footer` (by `thrift`) has looked whether they are what they claim
"""
