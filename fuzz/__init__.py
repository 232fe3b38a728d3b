"""`make fuzz`: files made at random, guided by what the readers do with them, and what must hold of every one.

`seeds.py` makes a real small file of every kind, `cases.py` turns an input of the fuzzer into a stored object,
`columns.py` makes Parquet files of odd columns, `promises.py` says what must hold; `target.py` is what libFuzzer calls,
and `__main__.py` runs it for some seconds.
"""
