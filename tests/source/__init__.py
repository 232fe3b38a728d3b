"""The sources, against a real S3 interface on loopback."""
