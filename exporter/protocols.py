"""Names for numbers, as data: IP protocols and TCP flags."""

_KEYWORDS = """
    hopopt icmp igmp ggp ipv4 st tcp cbt egp igp bbn-rcc-mon nvp-ii pup argus emcon xnet
    chaos udp mux dcn-meas hmp prm xns-idp trunk-1 trunk-2 leaf-1 leaf-2 rdp irtp iso-tp4 netblt mfe-nsp
    merit-inp dccp 3pc idpr xtp ddp idpr-cmtp tp++ il ipv6 sdrp ipv6-route ipv6-frag idrp rsvp gre
    dsr bna esp ah i-nlsp swipe narp min-ipv4 tlsp skip ipv6-icmp ipv6-nonxt ipv6-opts - cftp -
    sat-expak kryptolan rvd ippc - sat-mon visa ipcv cpnx cphb wsn pvp br-sat-mon sun-nd wb-mon wb-expak
    iso-ip vmtp secure-vmtp vines iptm nsfnet-igp dgp tcf eigrp ospfigp sprite-rpc larp mtp ax.25 ipip micp
    scc-sp etherip encap - gmtp ifmp pnni pim aris scps qnx a/n ipcomp snp compaq-peer ipx-in-ip
    vrrp pgm - l2tp ddx iatp stp srp uti smp sm ptp isis-over-ipv4 fire crtp crudp
    sscopmce iplt sps pipe sctp fc rsvp-e2e-ignore mobility-header udplite mpls-in-ip manet hip shim6 wesp rohc ethernet
    aggfrag nsh homa bit-emu
"""

PROTOCOLS: dict[int, str] = {number: keyword for number, keyword in enumerate(_KEYWORDS.split()) if keyword != "-"}
"""IANA's "Assigned Internet Protocol Numbers" of 2026: number to keyword, in lower case.

61, 63, 68, 99 and 114 ("any ...") and everything from 148 on have no keyword.
"""

TCP_FLAGS: tuple[str, ...] = ("fin", "syn", "rst", "psh", "ack", "urg")
"""RFC 9293, section 3.1: the control bits from the lowest on."""


def tcp_flags(mask: int) -> list[str]:
    """The names of a mask's flags, in bit order; bits above urg have no name here."""
    return [name for bit, name in enumerate(TCP_FLAGS) if mask >> bit & 1]
