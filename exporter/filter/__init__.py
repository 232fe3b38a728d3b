"""Volume control: which records go out, by rules over what their documents say.

rules.py        START HERE: a batch to the batch that is kept, and how many records each rule dropped
conditions.py   a rule's texts to tests of values: keywords, addresses, numbers
columns.py      values as a batch holds them, record by record or by a code, and where a condition holds (pure)
fields.py       THE table: the document's paths, each with its type and the column that has it
sampling.py     which records of a sample are kept, by their documents' ids
own_traffic.py  the exporter's own connections to the cluster
"""
