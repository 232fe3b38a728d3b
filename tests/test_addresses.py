"""128-bit keys: order, spelling, search."""

import numpy as np
import pytest

from exporter.addresses import find, keys_of, keys_of_texts
from exporter.errors import InventoryError
from tests.enrich.cases import addresses

RISING = ["::", "::1", "::ffff", "0.0.0.0", "10.0.0.1", "255.255.255.255", "2600::", "fe80::1:0"]  # noqa: S104


def test_a_batchs_keys_are_those_of_its_texts() -> None:
    assert keys_of(addresses(RISING)).tolist() == keys_of_texts(RISING).tolist()


def test_keys_order_as_numbers() -> None:
    keys = keys_of_texts(RISING)
    assert np.argsort(keys[::-1]).tolist() == list(range(len(RISING)))[::-1]
    assert len(set(keys.tolist())) == len(RISING)


def test_an_ipv4_address_is_not_the_ipv6_address_with_its_bits() -> None:
    assert keys_of(addresses(["10.0.0.1"])).tolist() != keys_of(addresses(["a00:1::"])).tolist()


def test_the_batch_is_left_as_it_was() -> None:
    given = addresses(["10.0.0.1"])
    keys_of(given)
    assert given.words.tolist() == [[0x0A000001, 0, 0, 0]]


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.256", "010.0.0.1", "fe80::1%eth0", "::g", "10.0.0.0/8", "a\0b"])
def test_no_address(text: str) -> None:
    with pytest.raises(InventoryError, match="neither an IPv4 nor an IPv6 address"):
        keys_of_texts([text])


def test_find() -> None:
    table = np.array([2, 5, 9], dtype=np.int64)
    assert find(table, np.array([9, 1, 5, 5, 10, 2])).tolist() == [2, -1, 1, 1, -1, 0]
    assert find(table[:0], np.array([1, 2])).tolist() == [-1, -1]
    assert find(table, table[:0]).tolist() == []
