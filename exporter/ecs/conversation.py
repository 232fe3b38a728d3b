"""The client and the server of each record: what its ends say once more, by who began."""

from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.flow import Addresses

_PORTS = 1 << 16
_TRAFFIC = ("bytes", "packets")

Flags = npt.NDArray[np.bool_]


def conversation(part: pl.DataFrame, addresses: Addresses) -> dict[str, pl.Expr]:
    """`client_server`: members `client` and `server` of a document, null where it is not known which is which.

    Each has its end's address and port; what the record counts went from its source, so that one has it.  With it come
    the texts of these numbers, made once.
    """
    if "client" not in part.columns or not len(addresses.text) or part["client"].null_count() == part.height:
        return {}
    made: dict[str, pl.Expr] = {}
    told = [name for name in _TRAFFIC if name in part.columns]
    for name in told:
        made[name] = pl.lit(part[name].cast(pl.String))
    traffic = pl.concat_str([_member(name, made[name], part[name]) for name in told]) if told else pl.lit("")
    known = part["client"].is_not_null().to_numpy()
    is_source = (part["client"] == 0).fill_null(value=False).to_numpy()
    members: list[pl.Expr] = []
    for name, chosen in (("client", is_source), ("server", ~is_source)):
        address, port = (_chosen(part, columns_of, chosen) for columns_of in (("srcaddr", "dstaddr"), _PORT_COLUMNS))
        opening = ',"client":{' if name == "client" else '},"server":{'
        members.append(pl.lit(_addresses(addresses, opening)).gather(pl.lit(address)))
        if port is not None:
            members.append(pl.lit(_ports()).gather(pl.lit(port)))
        members.append(pl.when(pl.lit(pl.Series(chosen & known))).then(traffic).otherwise(pl.lit("")))
    text = pl.concat_str([*members, pl.lit("}")], ignore_nulls=True)
    return {**made, "client_server": text if known.all() else pl.when(pl.lit(pl.Series(known))).then(text)}


_PORT_COLUMNS = ("srcport", "dstport")


def _member(name: str, text: pl.Expr, column: pl.Series) -> pl.Expr:
    """A number with its name, nothing where there is none."""
    member = pl.concat_str(pl.lit(f',"{name}":'), text)
    return pl.coalesce(member, pl.lit("")) if column.null_count() else member


def _chosen(part: pl.DataFrame, names: tuple[str, str], first: Flags) -> pl.Series | None:
    """The first or the second column's number, record by record; None where the records have neither."""
    if names[0] not in part.columns or names[1] not in part.columns:
        return None
    one, other = (part[name].to_physical().cast(pl.UInt32) for name in names)
    return one.zip_with(pl.Series(first), other)


def _addresses(addresses: Addresses, opening: str) -> pl.Series:
    text = pl.lit(addresses.text)
    return pl.select(
        pl.concat_str(pl.lit(f'{opening}"address":"'), text, pl.lit('","ip":"'), text, pl.lit('"'))
    ).to_series()


@cache
def _ports() -> pl.Series:
    """Each port as a member; 2 MB, made when the first record needs it."""
    return pl.select(pl.concat_str(pl.lit(',"port":'), pl.int_range(_PORTS).cast(pl.String))).to_series()
