"""Who an order is: a hash of what decided it, so that a restart cannot double it."""

from __future__ import annotations

import base64
from hashlib import blake2b

import msgspec

_DIGEST_BYTES = 19
"""152 bits: 31 characters of base32, which with the ``k`` stays below Binance's 36."""


def client_order_id(strategy: str, symbol: str, cause: str, leg: int) -> str:
    """Return the id of the order that ``strategy`` decided on because of ``cause``.

    There is no counter and no clock in it: the same decision taken again after a restart is the
    same order, a different decision never is. ``strategy`` is the actor's name, ``cause`` the id
    of the event (``trade:3735683259``, ``bar:1723161255000000000``), ``leg`` tells apart orders
    of one cause. The answer is ``k`` and 31 characters of ``a-z2-7``, which every venue accepts.
    """
    # JSON quotes the parts, so no two different lists give the same bytes.
    decision = msgspec.json.encode([strategy, symbol, cause, leg])
    digest = blake2b(decision, digest_size=_DIGEST_BYTES, person=b"krator.order").digest()
    return "k" + base64.b32encode(digest).decode("ascii").rstrip("=").lower()
