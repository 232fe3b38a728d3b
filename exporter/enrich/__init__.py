"""Both ends of every record: who stood behind its addresses at the time of its flow, by what EC2 told over time.

And what follows from that: who began, who else tells of it, what it costs.

ends.py           START HERE: a batch, and what is known of addresses, to a batch with both ends
accounts.py       which accounts are asked, and by which roles
budget.py         how many calls a second, over all and in each account and region (pure)
calls.py          calls to AWS: page by page, at that rate, again where an error may pass
ec2.py            asks EC2 in all accounts and regions, every so often and when a flow is newer than the last answer
oddities.py       what is odd in the answers: counted always, logged once
answers.py        EC2's answers to a snapshot (pure)
managed.py        what stands behind an interface that AWS manages, as a table
inventory.py      a snapshot: who owned what at one moment
snapshot_file.py  a snapshot to a JSON file and back
history.py        snapshots to intervals of ownership, and these to a view for look-ups (pure)
history_store.py  a history to rows of the ledger and back
owners.py         the history in use: snapshots go in, views come out, changes go into the store
index.py          the look-ups by address and time, on integers (pure)
locality.py       inside or outside, by tables of networks
reporters.py      whose view of a flow a record is, where both ends report it
clients.py        which end began: the client and the server, and the protocol by the server's port
conversations.py  the records of a batch that are of one conversation, and what they show
ports.py          IANA's table of ports (ports.tsv)
cost.py           what a flow is estimated to cost, by a table of prices
cost_rules.py     which kind of charge a record is (pure); cost_facts.py, cost_tables.py: what the rules look at
explained.py      for people: why an end is who it is, rule by rule
remembered.py     for people: what a history has of an address, and of each scope
exported.py       a history to one snapshot, and a snapshot of a file into a history
"""
