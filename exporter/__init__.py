"""VPC flow logs from S3 to Elasticsearch, enriched at both ends.

The stages in order, one line each:

source    which objects are new: `source/s3.py` lists, `source/sqs.py` is told, `ledger.py` knows what is done
read      bytes to a batch of columns: `read/reader.py`, with names and types from `fields.py`
enrich    both ends of every record from the inventory: `enrich/ec2.py` describes, `enrich/ends.py` looks up; who began,
          what it costs; what others know of its addresses: `lists/`; `enrichment.py` has these steps in their order
filter    which records go out, by rules: `filter/rules.py`
ecs       a batch of columns to ECS documents as NDJSON: `ecs/document.py`
sink      documents into the data stream: `sink/elasticsearch.py`, or a folder: `sink/files.py`
ledger    done: forget nothing before

`pipeline.py` takes one object through all of them, on one screen: start there.  `poller.py` and `consumer.py` find
objects, by listings and by messages, `workers.py` gives each to a thread, once.  `wiring.py` puts all of it together,
`daemon.py` runs it for ever, `commands/` is the command line.
"""

__version__ = "0.1.0"
