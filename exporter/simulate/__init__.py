"""The traffic generator: a made-up network, its day of traffic, incidents, and the objects AWS would write of it.

`plan.py` says what the network is made of, `network.py` what a network is, `aws.py` builds one in an EC2 API;
`scene.py` adds everybody outside; `traffic.py` and `incidents.py` make flows, `flows.py` turns them into records as
each interface on the way logs them, `containers.py` packs records as text or Parquet, and `writer.py` writes them as
objects.  The same seed gives the same bytes.
"""
