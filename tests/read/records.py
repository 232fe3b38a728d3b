"""Real lines of each version, and what they mean, worked out by hand (times from the AWS guide's examples)."""

import gzip
from datetime import datetime

at = datetime.fromisoformat

V2 = (
    b"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    b"log-status\n"
)
V3 = (
    b"version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr "
    b"pkt-dstaddr protocol bytes packets start end action tcp-flags log-status\n"
)
V4 = V2[:-1] + b" region az-id sublocation-type sublocation-id\n"
V5 = (
    b"version srcaddr dstaddr srcport dstport protocol start end type packets bytes account-id vpc-id subnet-id "
    b"instance-id interface-id region az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr "
    b"pkt-src-aws-service pkt-dst-aws-service traffic-path flow-direction log-status\n"
)
ACCEPTED = (
    b"2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 "
    b"ACCEPT OK\n"
)
IPV6 = (
    b"2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 "
    b"2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK\n"
)
NODATA = b"2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA\n"
SKIPDATA = b"2 unknown eni-11111111aaaaaaaaa - - - - - - - 1431280876 1431280934 - SKIPDATA\n"
SERVICE = (
    b"5 52.95.128.179 10.0.0.71 80 34210 6 1616729292 1616729349 IPv4 14 15044 123456789012 vpc-abcdefab012345678 "
    b"subnet-aaaaaaaa012345678 i-0c50d5961bcb2d47b eni-1235b8ca123456789 ap-southeast-2 apse2-az3 - - ACCEPT 19 "
    b"52.95.128.179 10.0.0.71 S3 - - ingress OK\n"
)
OUTPOST = (
    b"5 fd00::1 10.0.0.71 0 65535 255 1616729292123 1616729349000001 EFA 1 9223372036854775807 000000000012 "
    b"vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-0c50d5961bcb2d47b eni-1235b8ca123456789 us-west-2 usw2-az1 "
    b"outpost op-0123 REJECT 0 fd00::1 10.0.0.71 - AMAZON 8 egress OK\n"
)

ACCEPTED_VALUES = {
    "version": 2,
    "account_id": "123456789010",
    "interface_id": "eni-1235b8ca123456789",
    "srcaddr": "172.31.16.139",
    "dstaddr": "172.31.16.21",
    "srcport": 20641,
    "dstport": 22,
    "protocol": 6,
    "packets": 20,
    "bytes": 4249,
    "start": at("2014-12-14T04:06:50"),
    "end": at("2014-12-14T04:07:50"),
    "action": "ACCEPT",
    "log_status": "OK",
}
IPV6_VALUES = ACCEPTED_VALUES | {
    "srcaddr": "2001:db8:1234:a100:8d6e:3477:df66:f105",
    "dstaddr": "2001:db8:1234:a102:3304:8879:34cf:4071",
    "srcport": 34892,
    "packets": 54,
    "bytes": 8855,
    "start": at("2016-10-31T11:35:08"),
    "end": at("2016-10-31T11:37:00"),
}
NODATA_VALUES = {
    "version": 2,
    "account_id": "123456789010",
    "interface_id": "eni-1235b8ca123456789",
    "start": at("2015-05-10T18:01:16"),
    "end": at("2015-05-10T18:02:14"),
    "log_status": "NODATA",
}
SKIPDATA_VALUES = {
    "version": 2,
    "interface_id": "eni-11111111aaaaaaaaa",
    "start": at("2015-05-10T18:01:16"),
    "end": at("2015-05-10T18:02:14"),
    "log_status": "SKIPDATA",
}
SERVICE_VALUES = {
    "version": 5,
    "srcaddr": "52.95.128.179",
    "dstaddr": "10.0.0.71",
    "srcport": 80,
    "dstport": 34210,
    "protocol": 6,
    "start": at("2021-03-26T03:28:12"),
    "end": at("2021-03-26T03:29:09"),
    "type": "IPv4",
    "packets": 14,
    "bytes": 15044,
    "account_id": "123456789012",
    "vpc_id": "vpc-abcdefab012345678",
    "subnet_id": "subnet-aaaaaaaa012345678",
    "instance_id": "i-0c50d5961bcb2d47b",
    "interface_id": "eni-1235b8ca123456789",
    "region": "ap-southeast-2",
    "az_id": "apse2-az3",
    "action": "ACCEPT",
    "tcp_flags": 19,
    "pkt_srcaddr": "52.95.128.179",
    "pkt_dstaddr": "10.0.0.71",
    "pkt_src_aws_service": "S3",
    "flow_direction": "ingress",
    "log_status": "OK",
}
OUTPOST_VALUES = {
    "version": 5,
    "srcaddr": "fd00::1",
    "dstaddr": "10.0.0.71",
    "srcport": 0,
    "dstport": 65535,
    "protocol": 255,
    "start": at("2021-03-26T03:28:12.123000"),
    "end": at("2021-03-26T03:29:09.000001"),
    "type": "EFA",
    "packets": 1,
    "bytes": 2**63 - 1,
    "account_id": "000000000012",
    "vpc_id": "vpc-abcdefab012345678",
    "subnet_id": "subnet-aaaaaaaa012345678",
    "instance_id": "i-0c50d5961bcb2d47b",
    "interface_id": "eni-1235b8ca123456789",
    "region": "us-west-2",
    "az_id": "usw2-az1",
    "sublocation_type": "outpost",
    "sublocation_id": "op-0123",
    "action": "REJECT",
    "tcp_flags": 0,
    "pkt_srcaddr": "fd00::1",
    "pkt_dstaddr": "10.0.0.71",
    "pkt_dst_aws_service": "AMAZON",
    "traffic_path": 8,
    "flow_direction": "egress",
    "log_status": "OK",
}

RECORDS: dict[str, tuple[bytes, list[dict[str, object]]]] = {
    "version 2": (V2 + ACCEPTED, [ACCEPTED_VALUES]),
    "version 2 without a header": (ACCEPTED + IPV6, [ACCEPTED_VALUES, IPV6_VALUES]),
    "IPv6, NODATA, SKIPDATA": (V2 + IPV6 + NODATA + SKIPDATA, [IPV6_VALUES, NODATA_VALUES, SKIPDATA_VALUES]),
    "only NODATA": (V2 + NODATA, [NODATA_VALUES]),
    "version 3": (
        V3 + b"3 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 eni-1235b8ca123456789 123456789010 "
        b"IPv4 52.213.180.42 10.0.0.62 43416 5001 52.213.180.42 10.0.0.62 6 568 8 1566848875 1566848933 ACCEPT 2 OK\n",
        [
            {
                "version": 3,
                "vpc_id": "vpc-abcdefab012345678",
                "subnet_id": "subnet-aaaaaaaa012345678",
                "instance_id": "i-01234567890123456",
                "interface_id": "eni-1235b8ca123456789",
                "account_id": "123456789010",
                "type": "IPv4",
                "srcaddr": "52.213.180.42",
                "dstaddr": "10.0.0.62",
                "srcport": 43416,
                "dstport": 5001,
                "pkt_srcaddr": "52.213.180.42",
                "pkt_dstaddr": "10.0.0.62",
                "protocol": 6,
                "bytes": 568,
                "packets": 8,
                "start": at("2019-08-26T19:47:55"),
                "end": at("2019-08-26T19:48:53"),
                "action": "ACCEPT",
                "tcp_flags": 2,
                "log_status": "OK",
            }
        ],
    ),
    "version 4": (
        V4 + b"4" + ACCEPTED[1:-1] + b" us-east-1 use1-az1 wavelength use1-wl1-bos-wlz1\n",
        [
            ACCEPTED_VALUES
            | {
                "version": 4,
                "region": "us-east-1",
                "az_id": "use1-az1",
                "sublocation_type": "wavelength",
                "sublocation_id": "use1-wl1-bos-wlz1",
            }
        ],
    ),
    "version 5, 29 fields, milliseconds and microseconds": (V5 + SERVICE + OUTPOST, [SERVICE_VALUES, OUTPOST_VALUES]),
    "nothing but -": (V2 + b" ".join([b"-"] * 14) + b"\n", [{}]),
    "no newline at the end": (V2 + ACCEPTED[:-1], [ACCEPTED_VALUES]),
    "byte order mark": (b"\xef\xbb\xbf" + V2 + ACCEPTED, [ACCEPTED_VALUES]),
    "byte order mark without a header": (b"\xef\xbb\xbf" + ACCEPTED, [ACCEPTED_VALUES]),
    "CRLF": ((V2 + ACCEPTED + NODATA).replace(b"\n", b"\r\n"), [ACCEPTED_VALUES, NODATA_VALUES]),
    "double blanks": ((V2 + ACCEPTED).replace(b" ", b"  "), [ACCEPTED_VALUES]),
    "blanks and tabs around": (V2 + b" \t" + ACCEPTED[:-1] + b" \n", [ACCEPTED_VALUES]),
    "tabs between": (V2 + ACCEPTED.replace(b" ", b"\t"), [ACCEPTED_VALUES]),
    "one tab between": (V2 + ACCEPTED.replace(b" ACCEPT OK", b" ACCEPT\tOK"), [ACCEPTED_VALUES]),
    "two members": (gzip.compress(V2 + ACCEPTED[:20]) + gzip.compress(ACCEPTED[20:]), [ACCEPTED_VALUES]),
    "spellings": (
        b"windowstart ${end} srcAddr dest_port flow-log-status\n1418530010 1418530070 172.31.16.139 22 OK\n",
        [{k: v for k, v in ACCEPTED_VALUES.items() if k in ("start", "end", "srcaddr", "log_status", "dstport")}],
    ),
    "unknown fields and one named twice": (
        b"srcport new-one dstport srcPort other\n1 abc 2 3 -\n",
        [{"srcport": 1, "extra.new-one": "abc", "dstport": 2, "extra.srcport.2": "3"}],
    ),
    "tags": (
        b"srcport instance-tag asg-tag-2 interface-tag\n1 Name%3Da%20b%0A%C3%BC 100% plain\n2 %FF + -\n",
        [
            {"srcport": 1, "instance_tag": "Name=a b\nü", "asg_tag_2": "100%", "interface_tag": "plain"},
            {"srcport": 2, "instance_tag": "\ufffd", "asg_tag_2": "+"},
        ],
    ),
    "text only": (
        b"action log-status\nACCEPT OK\n- NODATA\n",
        [{"action": "ACCEPT", "log_status": "OK"}, {"log_status": "NODATA"}],
    ),
    "one field": (b"dstport\n443\n-\n", [{"dstport": 443}, {}]),
    "a plus, where it is no number": (b"dstport action\n443 +5\n", [{"dstport": 443, "action": "+5"}]),
    "zeros in front": (b"dstport bytes\n00443 000000000000000000000000000007\n", [{"dstport": 443, "bytes": 7}]),
    "what polars would inflate": (b"action dstport\nx^ab 1\n", [{"action": "x^ab", "dstport": 1}]),
    "a mark that polars would drop": ("action dstport\n\ufeffa 1\n".encode(), [{"action": "\ufeffa", "dstport": 1}]),
    "quotes, backslashes, separators": (
        'action dstport\n"a\\" 1\n\u2028\x85 2\n'.encode(),
        [{"action": '"a\\"', "dstport": 1}, {"action": "\u2028\x85", "dstport": 2}],
    ),
    "the latest time, and the same digits as milliseconds": (
        b"start end\n253402300799 253402300799000000\n",
        [{"start": at("1978-01-11T21:31:40.799000"), "end": at("9999-12-31T23:59:59")}],
    ),
}
