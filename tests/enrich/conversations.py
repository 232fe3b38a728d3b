"""Real conversations as flow logs show them, who began each, and which rule is to tell that.

An end is a name and a port; a name stands for one address within its conversation.  A record is written as its
direction (`>` from the client, `<` to it), its tcp-flags, `x` and its packets where they are not 10, and `!` where it
was rejected.  What is to tell: F its own flags, P the pair, N the ports' numbers, - nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.flow import CLIENT_RULES

TCP, UDP, ICMP, GRE, SCTP, DCCP = 6, 17, 1, 47, 132, 33
RULES: dict[str, str | None] = {"F": CLIENT_RULES[0], "P": CLIENT_RULES[1], "N": CLIENT_RULES[2], "-": None}


@dataclass(frozen=True, slots=True)
class Record:
    """What of a record counts here, its client (0 its source, 1 its destination, None nobody), and what tells it."""

    protocol: int
    srcaddr: str
    dstaddr: str
    srcport: int
    dstport: int
    tcp_flags: int
    packets: int
    action: str
    client: int | None
    expected: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row: whole, its records are to be told as `whole` says; each half without the other one, as `halves` does.

    `among`: what else the batch has, as (client, server, records).  `service`: the protocol's name where it is told.
    With `nobody` no end is the client, and whatever is told is wrong.
    """

    name: str
    protocol: int
    client: str
    server: str
    records: str
    whole: str
    halves: str
    service: str | None = None
    among: tuple[tuple[str, str, str], ...] = ()
    nobody: bool = False

    def batch(self, row: int, directions: str = "<>") -> list[Record]:
        """Its records, or one half of them, and what is among them; each row has addresses of its own."""
        addresses: dict[str, str] = {}
        rules = iter(self.whole if len(directions) > 1 else self.halves)
        told = [rule for rule, text in zip(rules, self.records.split(), strict=True) if text[0] in directions]
        mine = [text for text in self.records.split() if text[0] in directions]
        made = list(self._made(addresses, row, (self.client, self.server), mine, told))
        for client, server, records in self.among:
            made += self._made(addresses, row, (client, server), records.split(), ())
        return made

    def _made(
        self, addresses: dict[str, str], row: int, ends: tuple[str, str], texts: Sequence[str], told: Sequence[str]
    ) -> Iterator[Record]:
        for number, text in enumerate(texts):
            match = _RECORD.fullmatch(text)
            assert match, text
            direction, flags, packets, rejected = match.groups()
            source, destination = (end.split(":") for end in (ends if direction == ">" else ends[::-1]))
            expected = RULES[told[number]] if told else None
            yield Record(
                protocol=self.protocol,
                srcaddr=addresses.setdefault(source[0], f"10.{row}.0.{len(addresses) + 1}"),
                dstaddr=addresses.setdefault(destination[0], f"10.{row}.0.{len(addresses) + 1}"),
                srcport=int(source[1]),
                dstport=int(destination[1]),
                tcp_flags=int(flags),
                packets=int(packets or 10),
                action="REJECT" if rejected else "ACCEPT",
                client=None if self.nobody else int(direction == "<"),
                expected=expected,
                service=self.service if expected else None,
            )


_RECORD = re.compile(r"([<>])(\d+)(?:x(\d+))?(!?)")


def crowd(server: str, count: int, port: int = 50_000) -> tuple[tuple[str, str, str], ...]:
    """Other clients of a server, each with a conversation in which no flags are seen."""
    return tuple((f"guest{number}:{port + number}", server, ">0 <0") for number in range(count))


BY_FLAGS = (
    Conversation("the whole of a connection in a window", TCP, "c:40000", "s:5432", ">3 <19", "FF", "FF", "postgresql"),
    Conversation("its opening", TCP, "c:40000", "s:9042", ">2 <18", "FF", "FF"),
    Conversation("opening, middle, end", TCP, "c:40000", "s:9042", ">2 <18 >0 <0 <1 >1", "FFPPPP", "FFPPPP"),
    Conversation("only the client's opening is seen", TCP, "c:2000", "s:3000", ">2 >0 <0", "FPP", "FP-", "hbci"),
    Conversation("only the server's is", TCP, "c:2000", "s:3001", "<18 >0 <0", "FPP", "F-P", "origo-native"),
    Conversation("opened, then reset by the client", TCP, "c:40000", "s:9042", ">6 <18", "FF", "FF"),
    Conversation("opened, then reset by the server", TCP, "c:40000", "s:9042", ">2 <22", "FF", "FF"),
    Conversation("opened, ended and reset", TCP, "c:40000", "s:9042", ">7 <23", "FF", "FF"),
    Conversation("refused by a reset", TCP, "c:40000", "s:9042", ">2x1 <4x1", "FP", "F-"),
    Conversation("refused by the security group", TCP, "c:40000", "s:9042", ">2x3!", "F", "F"),
    Conversation("accepted at the one, rejected at the other", TCP, "c:40000", "s:9042", ">2x3 >2x3!", "FF", "FF"),
    Conversation("the answer is stopped by a network ACL", TCP, "c:40000", "s:9042", ">2 <18!", "FF", "FF"),
    Conversation("both interfaces log both halves", TCP, "c:40000", "s:9042", ">3 >3 <19 <19", "FFFF", "FFFF"),
    Conversation("SYN again and again", TCP, "c:40000", "s:9042", ">2x6 >2x3", "FF", "FF"),
    Conversation("backscatter of another's forged SYN", TCP, "c:1234", "s:443", "<18x5!", "F", "F", "https"),
    Conversation("active FTP's data: its server begins", TCP, "s:20", "c:50000", ">3 <19", "FF", "FF"),
    Conversation("passive FTP's data", TCP, "c:40000", "s:50123", ">3 <19", "FF", "FF"),
    Conversation("a client's port that is another's service", TCP, "c:5432", "s:40123", ">2 <18 >0", "FFP", "FFP"),
    Conversation("rsh, from a privileged port", TCP, "c:1022", "s:514", ">3 <19", "FF", "FF", "shell"),
    Conversation("rsh's second connection, from its server", TCP, "s:1023", "c:1021", ">3 <19", "FF", "FF", "exp1"),
    Conversation("from the port that one listens on", TCP, "a:4001", "b:4001", ">3 <19 >0", "FFP", "FFP", "newoak"),
    Conversation("a SYN with flags that AWS does not tell", TCP, "c:40000", "s:9042", ">42 <18", "FF", "FF"),
    Conversation("an ACK that may be any packet's", TCP, "c:40000", "s:9042", ">26 <0", "--", "--"),
    Conversation("to a sure port, from another sure port", TCP, "c:53", "s:443", ">2 <18 <0", "FFP", "FFP", "https"),
)

SURE = (
    Conversation("the middle of a connection", TCP, "c:40000", "s:443", ">0 <0", "NN", "NN", "https"),
    Conversation("its end", TCP, "c:40000", "s:443", ">1 <1", "NN", "NN", "https"),
    Conversation("its reset", TCP, "c:40000", "s:443", ">4", "N", "N", "https"),
    Conversation("from the lowest port of a NAT gateway", TCP, "c:1024", "s:443", ">0 <0", "NN", "NN", "https"),
    Conversation("from a load balancer's registered port", TCP, "c:5432", "s:80", ">0 <0", "NN", "NN", "http"),
    Conversation("QUIC", UDP, "c:51000", "s:443", ">0 <0", "NN", "NN", "https"),
    Conversation("a name asked for", UDP, "c:40000", "s:53", ">0x1 <0x1", "NN", "NN", "domain"),
    Conversation("a name asked for from behind NAT", UDP, "c:2049", "s:53", ">0x1 <0x1", "NN", "NN", "domain"),
    Conversation("its answer comes too late", UDP, "c:40000", "s:53", "<0x1!", "-", "-"),
    Conversation("its answer comes too late, behind NAT", UDP, "c:2049", "s:53", "<0x1!", "-", "-"),
    Conversation("a port's scan, without flags", TCP, "c:2000", "s:23", ">0x1!", "N", "N", "telnet"),
    Conversation("a scan that comes from port 53", UDP, "x:53", "s:5060", ">0x1!", "-", "-"),
    Conversation("a scan that comes from port 53, of a high port", UDP, "x:53", "s:47808", ">0x1!", "-", "-"),
    Conversation("a scan that comes from port 80, no flags", TCP, "x:80", "s:37777", ">0x1!", "-", "-"),
    Conversation("time, asked by a program", UDP, "c:40000", "s:123", ">0x1 <0x1", "NN", "NN", "ntp"),
    Conversation("time, asked by a server behind NAT", UDP, "c:1500", "s:123", ">0x1 <0x1", "NN", "NN", "ntp"),
    Conversation("time among servers", UDP, "a:123", "b:123", ">0x1 <0x1", "--", "--"),
    Conversation("syslog", UDP, "c:40000", "s:514", ">0", "N", "N", "syslog"),
    Conversation("syslog of a BSD, from its own port", UDP, "c:514", "s:514", ">0", "-", "-"),
    Conversation("the same to another port", UDP, "c:514", "s:5514", ">0", "-", "-"),
    Conversation("a mail, submitted", TCP, "c:40000", "s:587", ">0 <0", "NN", "NN", "submission"),
    Conversation("a mail, submitted from behind NAT", TCP, "c:2000", "s:587", ">0 <0", "--", "--"),
    Conversation("names of Windows", UDP, "a:137", "b:137", ">0x3 <0x3", "--", "--"),
    Conversation("datagrams of Windows", UDP, "a:138", "b:138", ">0x1", "-", "-"),
    Conversation("Windows RPC's mapper", TCP, "c:50000", "s:135", ">0 <0", "NN", "NN", "epmap"),
    Conversation("Windows RPC itself", TCP, "c:50000", "s:49664", ">0 <0", "--", "--"),
    Conversation("IKE", UDP, "a:500", "b:500", ">0 <0", "--", "--"),
    Conversation("IKE from behind NAT", UDP, "c:3000", "s:500", ">0 <0", "NN", "NN", "isakmp"),
    Conversation("BGP", TCP, "c:40000", "s:179", ">0 <0", "NN", "NN", "bgp"),
    Conversation("TFTP's request", UDP, "c:40000", "s:69", ">0x1", "N", "N", "tftp"),
    Conversation("TFTP's data, from another port", UDP, "c:40000", "s:45000", ">0 <0", "--", "--"),
    Conversation("a trap of SNMP", UDP, "c:50000", "s:162", ">0x1", "N", "N", "snmptrap"),
    Conversation("RPC's mapper", TCP, "c:40000", "s:111", ">0 <0", "NN", "NN", "sunrpc"),
    Conversation("RPC's mapper, from a privileged port", TCP, "c:800", "s:111", ">0 <0", "--", "--"),
    Conversation("active FTP's data", TCP, "s:20", "c:50000", ">0 <0", "--", "--"),
    Conversation("DHCP of a relay", UDP, "a:67", "b:67", ">0x1 <0x1", "--", "--"),
    Conversation("DHCPv6", UDP, "c:546", "s:547", ">0x1 <0x1", "--", "--"),
    Conversation("not assigned, below 512", TCP, "c:40000", "s:4", ">0 <0", "--", "--"),
    Conversation("DCCP", DCCP, "c:40000", "s:9", ">0 <0", "NN", "NN", "discard"),
    Conversation("SCTP", SCTP, "c:40000", "s:179", ">0 <0", "NN", "NN", "bgp"),
    Conversation("assigned for another transport", SCTP, "c:40000", "s:53", ">0 <0", "--", "--"),
    Conversation("ping", ICMP, "c:0", "s:0", ">0 <0", "--", "--"),
    Conversation("what has no ports, whatever is told", GRE, "c:40000", "s:443", ">0 <0", "--", "--"),
    Conversation("fragments", UDP, "c:0", "s:0", ">0 <0", "--", "--"),
    Conversation("port 0", TCP, "c:0", "s:443", ">0 <0", "--", "--"),
)

SERVED = (
    Conversation("queries, nothing else", TCP, "c:40000", "s:5432", ">0 <0", "--", "--"),
    Conversation("with seven others", TCP, "c:40000", "s:5432", ">0 <0", "NN", "--", "postgresql", crowd("s:5432", 7)),
    Conversation("with eight", TCP, "c:40000", "s:5432", ">0 <0", "NN", "NN", "postgresql", crowd("s:5432", 8)),
    Conversation("with six", TCP, "c:40000", "s:5432", ">0 <0", "--", "--", among=crowd("s:5432", 6)),
    Conversation(
        "a SYN-ACK to another",
        TCP,
        "c:40000",
        "s:5432",
        ">0 <0",
        "NN",
        "NN",
        "postgresql",
        (("g:1100", "s:5432", "<18"),),
    ),
    Conversation(
        "no more than a SYN of another",
        TCP,
        "c:40000",
        "s:5432",
        ">0 <0",
        "--",
        "--",
        among=(("g:1100", "s:5432", ">2"),),
    ),
    Conversation("from NAT's low port", TCP, "c:2000", "s:5432", ">0 <0", "--", "--", among=crowd("s:5432", 8)),
    Conversation(
        *("one of the others has a low port", TCP, "c:40000", "s:5432", ">0 <0", "--", "--"),
        among=(*crowd("s:5432", 8), ("g:2000", "s:5432", ">0 <0")),
    ),
    Conversation(
        *("but it sent a SYN-ACK", TCP, "c:40000", "s:5432", ">0 <0", "NN", "NN", "postgresql"),
        among=(*crowd("s:5432", 8), ("g:2000", "s:5432", ">2 <18")),
    ),
    Conversation(
        *("the others only knock", TCP, "c:40000", "s:5432", ">0 <0", "--", "--"),
        among=tuple((f"g{number}:{50_000 + number}", "s:5432", ">2x1 <4x1") for number in range(5)),
    ),
    Conversation(
        *("the client's port is in use to another port too", TCP, "c:40000", "s:5432", ">0 <0", "--", "--"),
        among=(*crowd("s:5432", 8), ("c:40000", "t:443", ">0 <0")),
    ),
    Conversation(
        *("to the same port elsewhere", TCP, "c:40000", "s:5432", ">0 <0", "NN", "NN", "postgresql"),
        among=(*crowd("s:5432", 8), ("c:40000", "t:5432", ">0 <0")),
    ),
    Conversation("a port not assigned", TCP, "c:40000", "s:9042", ">0 <0", "--", "--", among=crowd("s:9042", 9)),
    Conversation("a node's port", TCP, "c:40000", "s:30080", ">0 <0", "--", "--", among=crowd("s:30080", 9)),
    Conversation("above 32767", TCP, "c:40000", "s:33060", ">0 <0", "--", "--", among=crowd("s:33060", 9)),
    Conversation("DNS over TLS", TCP, "c:40000", "s:853", ">0 <0", "NN", "NN", "domain-s", crowd("s:853", 8)),
    Conversation("mail, read", TCP, "c:40000", "s:993", ">0 <0", "NN", "NN", "imaps", crowd("s:993", 8)),
    Conversation(
        "X11: the display is the server", TCP, "c:40000", "s:6000", ">0 <0", "NN", "NN", "x11", crowd("s:6000", 8)
    ),
    Conversation("NFS", TCP, "c:40000", "s:2049", ">0 <0", "NN", "NN", "nfs", crowd("s:2049", 8)),
    Conversation("NFS, from a privileged port", TCP, "c:700", "s:2049", ">0 <0", "--", "--", among=crowd("s:2049", 8)),
    Conversation("NFS's locks", TCP, "c:749", "s:40123", ">0 <0", "--", "--", among=crowd("s:40123", 8)),
    Conversation("RADIUS", UDP, "c:40000", "s:1812", ">0 <0", "NN", "NN", "radius", crowd("s:1812", 8)),
    Conversation("memcached", UDP, "c:40000", "s:11211", ">0 <0", "NN", "NN", "memcache", crowd("s:11211", 8)),
    Conversation("IPsec behind NAT", UDP, "c:40000", "s:4500", ">0 <0", "NN", "NN", "ipsec-nat-t", crowd("s:4500", 8)),
    Conversation("IPsec", UDP, "a:4500", "b:4500", ">0 <0", "--", "--", among=crowd("b:4500", 8)),
    Conversation("telephony among servers", UDP, "a:5060", "b:5060", ">0 <0", "--", "--", among=crowd("b:5060", 8)),
    Conversation("AFS's callback", UDP, "s:7000", "c:7001", ">0 <0", "--", "--", among=crowd("s:7000", 8)),
    Conversation("signalling of telephony", SCTP, "c:40000", "s:2905", ">0 <0", "NN", "NN", "m3ua", crowd("s:2905", 8)),
)

TEMPTING = (
    Conversation("a load balancer to a task", TCP, "c:5432", "s:40123", ">0 <0", "--", "--", among=crowd("s:40123", 8)),
    Conversation("the same, alone", TCP, "c:5432", "s:40123", ">0 <0", "--", "--"),
    Conversation(
        *("one port of it to many tasks", TCP, "c:5432", "s:40123", ">0 <0", "--", "--"),
        among=tuple(
            each
            for number in range(4)
            for each in (("c:5432", f"t{number}:4020{number}", ">0 <0"), *crowd(f"t{number}:4020{number}", 2))
        )
        + crowd("s:40123", 7),
    ),
    Conversation(
        "from NAT to a task seen to be served",
        TCP,
        "c:5432",
        "s:40123",
        ">0 <0",
        "--",
        "--",
        among=(("g:40001", "s:40123", ">2 <18"), *(("c:5432", f"t{n}:40000", ">0 <0") for n in range(3))),
    ),
    Conversation("passive FTP's data, from NAT", TCP, "c:3306", "s:50123", ">0 <0", "--", "--"),
    Conversation(
        *("a scanner tries the port that NAT uses", TCP, "c:8080", "s:50123", ">0 <0", "--", "--"),
        among=(("x:61000", "c:8080", ">2x1"), ("y:1111", "c:8080", ">2x1")),
    ),
    Conversation(
        *("a worm from one port, no flags", TCP, "x:5060", "s:37215", ">0x1!", "-", "-"),
        among=tuple(("x:5060", f"t{number}:37215", ">0x1!") for number in range(5)),
    ),
    Conversation(
        *("a worm that is answered by resets", TCP, "x:5060", "s:37215", ">0x1 <0x1", "--", "--"),
        among=tuple(("x:5060", f"t{number}:37215", ">0x1 <0x1") for number in range(5)),
    ),
    Conversation(
        *("a peer from the port that it listens on", TCP, "c:4001", "s:40123", ">0 <0", "--", "--"),
        among=(*crowd("c:4001", 8), ("g:50009", "c:4001", ">2 <18"), ("c:4001", "z:9999", ">2 <18")),
    ),
    Conversation(
        *("a peer among peers", UDP, "a:12345", "b:51413", ">0 <0", "--", "--"),
        among=(*crowd("a:12345", 8), ("a:12345", "z:6881", ">0 <0")),
        nobody=True,
    ),
    Conversation(
        *("encrypted FTP's data: its server begins", TCP, "s:989", "c:50123", ">0 <0", "--", "--"),
        among=tuple(("s:989", f"g{number}:{50_000 + number}", ">0 <0") for number in range(5)),
    ),
    Conversation(*("speech", UDP, "a:5004", "b:40000", ">0 <0", "--", "--"), among=crowd("a:5004", 9), nobody=True),
    Conversation("speech on any port", UDP, "a:16384", "b:40000", ">0 <0", "--", "--", nobody=True),
    Conversation("a tunnel: VXLAN", UDP, "a:50000", "b:4789", ">0", "-", "-", among=crowd("b:4789", 9), nobody=True),
    Conversation("a tunnel: GENEVE", UDP, "a:50000", "b:6081", ">0", "-", "-", among=crowd("b:6081", 9), nobody=True),
    Conversation("a tunnel: WireGuard", UDP, "c:40000", "s:51820", ">0 <0", "--", "--", among=crowd("s:51820", 8)),
    Conversation("WireGuard from NAT", UDP, "c:5432", "s:51820", ">0 <0", "--", "--"),
    Conversation("names of the link, to all", UDP, "a:5353", "b:5353", ">0x1", "-", "-"),
    Conversation("a route traced", UDP, "c:40000", "s:33434", ">0x1", "-", "-"),
    Conversation("a route traced from a low port", UDP, "c:3480", "s:33440", ">0x1", "-", "-"),
    Conversation("a game", UDP, "c:52000", "s:60001", ">0 <0", "--", "--"),
    Conversation("to oneself, the same port", TCP, "c:4001", "c:4001", ">2 >0", "F-", "F-", "newoak"),
    Conversation(
        *("to a task that took one from just such a port", TCP, "c:5432", "s:40123", ">0 <0", "--", "--"),
        among=(*crowd("c:5432", 9), ("g:5432", "s:40123", ">2")),
    ),
)

CONVERSATIONS = (*BY_FLAGS, *SURE, *SERVED, *TEMPTING)
