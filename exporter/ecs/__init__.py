"""A batch of columns to ECS documents as NDJSON.

`document.py` lists what stands in a document and where each value comes from, `values.py` makes these values,
`compiler.py` turns such a list into text for a whole frame at once, `ends.py` has the ready text of the inventory's
interfaces, `conversation.py` that of clients and servers, `community_id.py` and `sha1.py` the flow's hash.
"""
