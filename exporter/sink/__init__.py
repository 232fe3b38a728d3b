"""Where documents go: `elasticsearch` (a data stream) or `files` (NDJSON); and what cannot go out.

That goes to `dead_letter` (a file) or `letter_stream` (a data stream); `kept_letters` and `streamed_letters` read
these.
For Elasticsearch, `elasticsearch` holds the deliveries and their senders, `bulk` one request and what its answer
means, `pace` how much may be under way.
"""
