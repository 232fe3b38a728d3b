"""Where documents go: `elasticsearch` (a data stream), `files` (NDJSON); and `dead_letter` for what cannot go out.

For Elasticsearch, `elasticsearch` holds the deliveries and their senders, `bulk` one request and what its answer
means, `pace` how much may be under way.
"""
