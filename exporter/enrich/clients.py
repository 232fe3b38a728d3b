"""Who began it: which end of each record is the client, and the service by the server's port.

The first rule that tells counts; where none does, the client stays unknown, for nothing is guessed:

1. tcp_flags: the record's own flags, which AWS gathers over its window.  SYN without ACK: its source began.  SYN with
   ACK: its source answered, for AWS tells ACK only together with SYN (an ACK alone is 0).  An end that sent both, a SYN
   and a SYN-ACK, looks the same: so a SYN-ACK counts only where no other record of the conversation contradicts it.
   Anything else (0, FIN, RST) is sent by either end.
2. pair: what the flags of other records of the same conversation in the batch tell, where these agree: its other half,
   or the same half, seen in another window or at another interface.
3. port: a port that IANA has assigned (ports.py), against one that clients take.
   Below 512 against 1024 and above, and from 512 to 599 against 32768 and above, that is enough.  The port that a
   rejected record comes from tells nothing: an answer that is late looks as a scan does that comes from 53 or 80.
   From 600 to 32767 it is not enough: NFS clients, NAT gateways and load balancers take their own ports there, at times
   to reach servers far above (tasks behind a load balancer, FTP's data).  Such a port counts against one from 32768 on
   where it is moreover seen to be served in the batch: it sent a SYN-ACK, or SEEN_BY ends talk with it, to and fro, all
   from 32768 on; it began nothing itself, and the other end took no connection and talks to this port number only.

A conversation is told by its packets' own ends, as pkt-srcaddr and pkt-dstaddr have them, else by srcaddr and dstaddr.
Behind a NAT gateway stands another conversation, which tells nothing of the one before it.  What is not TCP, UDP, SCTP
or DCCP has no ports and so no client: AWS tells no types of ICMP.

What packets say that were made to deceive is believed: an unasked SYN-ACK, a scan from port 53.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from exporter.addresses import Flags, Integers
from exporter.enrich.conversations import NOBODY, Flows, Talks
from exporter.enrich.ports import LEAST, NO_TRANSPORT, TCP, WHERE_SERVED, registry, services
from exporter.flow import CLIENT_RULES, Batch
from exporter.metrics import Metrics

FIN, SYN, RST, ACK = 1, 2, 4, 16
TOLD = FIN | SYN | RST | ACK
"""The flags that AWS tells; where a mask has others, its ACK may be that of any packet."""

UNDECIDED = "undecided"


def with_clients(batch: Batch, metrics: Metrics) -> Batch:
    """The batch with `client`, `client_rule` (UInt8) and `network_protocol` (String), null where nothing tells.

    The first two are places in flow.ENDS and flow.CLIENT_RULES; the third is the name of the service to which IANA has
    given the server's port.  Number, order and all other values of the records stay.  Every record that has both
    addresses is counted.
    """
    flows = Flows.of(batch.frame)
    client, rule = _decided(flows)
    for number, name in ((NOBODY, UNDECIDED), *enumerate(CLIENT_RULES)):
        metrics.add("clients_total", int(np.count_nonzero(flows.present & (rule == number))), rule=name)
    transport = np.where(client == NOBODY, np.uint8(NO_TRANSPORT), flows.transport)
    port = np.where(client == 0, flows.ports[1], flows.ports[0])
    columns = [
        pl.Series("client", client).cast(pl.UInt8, strict=False),  # -1 does not fit and so becomes null
        pl.Series("client_rule", rule).cast(pl.UInt8, strict=False),
        services(transport, port).alias("network_protocol"),
    ]
    return replace(batch, frame=batch.frame.with_columns(columns))


def _decided(flows: Flows) -> tuple[Integers, Integers]:
    """Of each record its client and the rule that told it, as places; -1 for neither."""
    client = _by_flags(flows)
    rule = np.where(client == NOBODY, NOBODY, 0)
    talks = Talks.of(flows)
    own = client[talks.rows]
    lesser, other = talks.told(own)
    contradicted = lesser & other
    own = np.where(contradicted & (own == 1), NOBODY, own)
    pair = np.where(lesser, talks.lesser, np.where(other, 1 - talks.lesser, NOBODY))
    told = np.where(contradicted | (own != NOBODY), own, pair)
    port = _by_port(flows, talks, own, told, ~contradicted & (told == NOBODY))
    client[talks.rows] = np.where(told != NOBODY, told, port)
    rule[talks.rows] = np.select([own != NOBODY, told != NOBODY, port != NOBODY], range(3), NOBODY)
    return client, rule


def _by_flags(flows: Flows) -> Integers:
    """Of each record its client by the first rule, -1 where its flags do not tell."""
    tcp, both = flows.present & (flows.transport == TCP), flows.flags & (SYN | ACK)
    client = np.full(len(tcp), NOBODY, dtype=np.int64)
    client[tcp & (both == SYN)] = 0
    client[tcp & (both == SYN | ACK) & (flows.flags & ~TOLD == 0)] = 1
    return client


def _by_port(flows: Flows, talks: Talks, own: Integers, told: Integers, open_: Flags) -> Integers:
    """Of each record of a conversation that is `open_` its client by the third rule.

    `own`: its client by the first rule, `told`: by the first two.
    """
    tells = [registry().tells[flows.transport[talks.rows], port] for port in talks.ports]
    against = [open_ & (other >= LEAST[what]) for other, what in zip(reversed(talks.ports), tells, strict=True)]
    against[0] &= ~flows.rejected[talks.rows]
    client = np.full(len(talks.rows), NOBODY, dtype=np.int64)
    for end in (0, 1):
        client[against[end] & (tells[end] != WHERE_SERVED)] = 1 - end
    asked = [np.flatnonzero(against[end] & (tells[end] == WHERE_SERVED)) for end in (0, 1)]
    if any(map(len, asked)):
        served, calling = talks.served(flows, own), talks.calling(told)
        for end, rows in enumerate(asked):
            this, other = talks.ends[end][rows], talks.ends[1 - end][rows]
            client[rows[served[this] & calling[other]]] = 1 - end
    return client
