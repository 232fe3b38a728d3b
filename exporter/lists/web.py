"""A GET by HTTPS: verified, by the proxies of the environment, with few redirects and limits of time.

No error's text has an address's query or a header's value: either may be a secret.  So none of the library's own
texts is used, some of which have.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager
from urllib3 import exceptions as http
from urllib3.util import Timeout, make_headers

from exporter import __version__
from exporter.errors import FeedError

REDIRECTS = 5
"""How many are followed."""

CHUNK = 64 * 1024

_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_OK, _UNCHANGED, _SERVER_FAULT = 200, 304, 500
_LATER = frozenset({408, 425, 429})
_ADVICE = {
    **dict.fromkeys((401, 403), "it is not allowed; check what the option authorization says"),
    **dict.fromkeys((404, 410), "nothing is there; check the address"),
    _UNCHANGED: "that nothing changed, though it was not asked that",
}
_LONGEST_MARK = 1024
_MARKS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
"""Headers of an answer that stand for its content, and those by which a request asks for what is other (RFC 9110)."""


class Passing(FeedError):
    """What may be over in a moment: a server's fault, no connection, a body that broke off."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for a connection to be made, between two bytes, and for all of it."""

    connect: float = 10
    read: float = 60
    total: float = 600


@dataclass(frozen=True, slots=True)
class Opened:
    """Something under way: its bytes, packed as they are, and by which `mark` it is asked whether it changed."""

    chunks: Iterator[bytes]
    mark: Mapping[str, str]


@contextmanager
def opened(url: str, mark: Mapping[str, str], authorization: str | None, limits: Limits) -> Iterator[Opened | None]:
    """What lies at an address; None where it is what it was when it had this `mark` ({}: it was never seen).

    `authorization` is sent to the address's own host and port alone.  Redirects lead to https only, or from loopback to
    loopback.  FeedError, of which Passing is worth another try; raised while the chunks are read, too.
    """
    asked = {_MARKS[name]: value for name, value in mark.items() if name in _MARKS}
    at = url
    with _explained(limits):
        for _ in range(REDIRECTS + 1):
            own = authorization is not None and _origin(at) == _origin(url)
            response = _answer(at, asked | ({"Authorization": str(authorization)} if own else {}), limits)
            try:
                if response.status not in _REDIRECTED:
                    yield None if response.status == _UNCHANGED and asked else _taken(response)
                    return
                at = _redirected(at, response.headers.get("Location", ""))
            finally:
                response.close()
    raise FeedError(f"it redirects more than {REDIRECTS} times; give the address where the list itself is")


def _answer(url: str, headers: Mapping[str, str], limits: Limits) -> BaseHTTPResponse:
    """The status and the headers; its body is to be read."""
    always = {"User-Agent": f"vpcflow-exporter/{__version__}", "Accept-Encoding": "gzip"}
    manager = _manager(url, Timeout(connect=limits.connect, read=limits.read))
    return manager.request(
        "GET",
        url,
        headers={**always, **headers},
        preload_content=False,
        decode_content=False,
        redirect=False,
        retries=False,
    )


def _manager(url: str, timeout: Timeout) -> PoolManager:
    """What connects: directly, or by the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say."""
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    tls = ssl.create_default_context() if "https" in {parts.scheme, urlsplit(proxy or "").scheme} else None
    if not proxy or proxy_bypass(parts.netloc):
        return PoolManager(timeout=timeout, ssl_context=tls)
    way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if way.scheme not in {"http", "https"} or not way.hostname:
        raise FeedError("the environment's proxy is none that can be used; expected http://HOST:PORT")
    sign_in = (
        make_headers(proxy_basic_auth=f"{unquote(way.username)}:{unquote(way.password or '')}") if way.username else {}
    )
    bare = f"{way.scheme}://{way.netloc.rpartition('@')[2]}"
    return ProxyManager(bare, proxy_headers=sign_in, proxy_ssl_context=tls, timeout=timeout, ssl_context=tls)


def _taken(response: BaseHTTPResponse) -> Opened:
    """The body of an answer that has one; FeedError for any other."""
    status = response.status
    if status in _LATER or status >= _SERVER_FAULT:
        raise Passing(f"the server answers {status}, so it cannot give it now")
    if status != _OK:
        raise FeedError(f"the server answers {status}: {_ADVICE.get(status, 'expected 200')}")
    packed = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in {"", "identity", "gzip", "x-gzip"}:
        raise FeedError(f"the server sends it packed as {packed!r:.40}, though it was asked for gzip or nothing")
    found = {name: response.headers.get(name, "") for name in _MARKS}
    return Opened(_chunks(response), {name: value for name, value in found.items() if _is_mark(value)})


def _is_mark(value: str) -> bool:
    """Whether it can be sent back: a header may hold any byte, and as many as it likes."""
    return 0 < len(value) <= _LONGEST_MARK and value.isascii() and value.isprintable()


def _chunks(response: BaseHTTPResponse) -> Iterator[bytes]:
    """The body as it arrives: `read` would wait for a whole chunk, however slowly it drips."""
    while data := response.read1(CHUNK, decode_content=False):
        yield data


def _redirected(at: str, location: str) -> str:
    """Where a redirect leads."""
    to = urljoin(at, location)
    parts = urlsplit(to)
    told = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if not location or not parts.hostname or "@" in parts.netloc:
        raise FeedError(f"it redirects to {told!r:.200}, which is no address")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts) and _is_loopback(urlsplit(at))):
        raise FeedError(f"it redirects to {told!r:.200}; expected https: else anybody on the way could change it")
    return to


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _is_loopback(parts: SplitResult) -> bool:
    if parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


@contextmanager
def _explained(limits: Limits) -> Iterator[None]:
    """Turns whatever the library raises into a FeedError with a text of our own."""
    try:
        yield
    except (http.HTTPError, OSError, ValueError) as error:
        raise _explanation(error, limits) from None


def _explanation(error: Exception, limits: Limits) -> FeedError:
    below = _innermost(error)
    if isinstance(below, ssl.SSLCertVerificationError):
        return FeedError(
            f"the server's certificate is not trusted: {below.verify_message}; an authority of your own is trusted "
            "by a file that the environment's SSL_CERT_FILE names"
        )
    if isinstance(error, http.ProtocolError):
        return Passing("the connection broke off before all of it had come")
    if isinstance(error, http.TimeoutError) and not isinstance(error, http.NewConnectionError):  # a kind of it there
        seconds = limits.connect if isinstance(error, http.ConnectTimeoutError) else limits.read
        return Passing(f"the server said nothing for {seconds:g} s")
    if isinstance(below, OSError):
        who = "the proxy" if isinstance(error, http.ProxyError) else "the server"
        return Passing(f"{who} cannot be reached: {below.strerror or below}")
    return FeedError(f"the address cannot be asked: {type(below).__name__}")


def _innermost(error: BaseException) -> BaseException:
    """What lies below an error: the operating system's, where there is one, else itself."""
    seen = [error]
    while (below := seen[-1].__cause__ or seen[-1].__context__) is not None and below not in seen:
        seen.append(below)
    return next((each for each in reversed(seen) if isinstance(each, OSError)), error)
