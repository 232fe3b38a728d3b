"""What others know of an address: databases, ranges and lists from outside, kept fresh, and what they add to a batch.

places.py       where an external address is, and in whose network, by databases of others
  mmdb.py         a database file: a private copy, and its search tree
  mmdb_data.py    its records
  layouts.py      THE table: what each maker calls what (pure)
aws_ranges.py   which service and region of AWS a public address is
threats.py      which records have an address that a threat list marks
  indicators.py   a list, plain, CSV or STIX 2.1, to an index
  indicator_index.py      the index: addresses and networks, and what is known of each (pure)
  indicator_lines.py      lines of a plain list or of CSV; indicator_table.py tells how CSV is written
  indicator_stix.py       objects of STIX; indicator_json.py reads them one by one, indicator_patterns.py their patterns
  indicator_values.py     texts to addresses, networks, times, confidences (pure)
  indicator_collector.py  entries to columns, within bounds
  threat_text.py  an indicator as ECS tells it (pure)
feeds.py        START HERE: something in a file, in S3 or at an address, parsed, and its last good copy
  fetching.py     any place to a file of our own
  web.py          an address; unpacking.py undoes gzip, bounded.py ends what hangs
  last_good.py    the copy on disk
"""
