"""Which records of a sample are kept: by a hash of what makes their documents' ids, so that a replay keeps the same."""

import base64

import numpy as np
import numpy.typing as npt

from exporter.flow import S3Object

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


def hashes(source: S3Object, rows: npt.NDArray[np.uint32]) -> Hashes:
    """64 bits for each row of an object, all equally likely: splitmix64 (Steele, Lea and Flood, 2014) of both."""
    seed = np.frombuffer(base64.urlsafe_b64decode(source.id_prefix), dtype=">u8", count=1)[0]
    mixed = (rows.astype(np.uint64) ^ np.uint64(seed)) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: Hashes = mixed ^ (mixed >> np.uint64(31))
    return hashed


def are_kept(hashed: Hashes, rate: float) -> Flags:
    """Those below the rate (above 0, below 1) of all hashes; what is kept at a rate is kept at every higher one."""
    kept: Flags = hashed < np.uint64(int(rate * 2**64))
    return kept
