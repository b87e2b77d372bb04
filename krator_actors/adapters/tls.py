"""Which URLs of a database lead to another host, and whether verified TLS protects them there.

Pure, and no URL is ever in an error, because it may hold a password.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

_VERIFIED = "verify-full"


class NotVerifiedError(Exception):
    """The URL leads to another host, and nothing shows that it is the right one."""


def verified_postgres(dsn: str) -> str:
    """Return a URL that leads to this host, or to another one by verified TLS.

    Where it says nothing of TLS, ``sslmode=verify-full`` is added; its ``sslrootcert`` names the
    certificates that are trusted. Raises NotVerifiedError when it says less than that.
    """
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    hosts = [host for value in query.get("host", []) for host in value.split(",")]
    hosts = hosts or _netloc_hosts(parts.netloc)
    if all(map(_is_local, hosts)):
        return dsn
    mode = query.get("sslmode", [""])[-1]
    if mode not in {"", _VERIFIED}:
        raise NotVerifiedError(
            f"it leads to another host with sslmode={quote(mode)}; use sslmode={_VERIFIED}"
        )
    if mode:
        return dsn
    separator = "&" if parts.query else ""
    return urlunsplit(parts._replace(query=f"{parts.query}{separator}sslmode={_VERIFIED}"))


def check_verified_redis(url: str) -> None:
    """Raise NotVerifiedError when the URL leads to another host and not by verified TLS."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if parts.scheme == "unix" or _is_local(parts.hostname or ""):
        return
    if parts.scheme != "rediss":
        raise NotVerifiedError("it leads to another host without TLS; use rediss://")
    required = query.get("ssl_cert_reqs", ["required"])[-1]
    checked = query.get("ssl_check_hostname", ["true"])[-1].lower()
    if required != "required" or checked not in {"true", "yes", "1", "on", "t", "y"}:
        raise NotVerifiedError("it leads to another host whose certificate is not verified")


def _netloc_hosts(netloc: str) -> list[str]:
    addresses = netloc.rpartition("@")[2].split(",")
    return [
        address[1:].partition("]")[0] if address.startswith("[") else address.partition(":")[0]
        for address in addresses
    ]


def _is_local(host: str) -> bool:
    """True for a Unix socket and for this host itself."""
    host = unquote(host)
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
