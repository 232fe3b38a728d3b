"""Both ends of every record: who stands behind its addresses, by the EC2 inventory.

ec2.py            asks EC2, all pages, and holds the newest answer
answers.py        EC2's answers to a snapshot (pure)
managed.py        what stands behind an interface that AWS manages, as a table
snapshot_file.py  a snapshot to a JSON file and back
inventory.py      the snapshot, and its index by address
locality.py       inside or outside, by tables of networks
ends.py           START HERE: a batch and a snapshot to a batch with both ends
"""
