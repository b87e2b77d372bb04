"""The symbols that the venue lists, and the filters of their orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from krator_actors.exchange import fixed
from krator_actors.exchange.errors import ApiError, ExchangeStartError, filter_failure

MAX_OPEN_ORDERS = 200
"""per symbol, as Binance's MAX_NUM_ORDERS"""
MAX_STOP_ORDERS = 5
"""per symbol, as Binance's MAX_NUM_ALGO_ORDERS"""
MAX_AMENDS = 10
"""per order, as Binance's MAX_NUM_ORDER_AMENDS"""
MAX_NOTIONAL = fixed.parse("9000000")

ORDER_TYPES = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)

BAND_FACTOR = 5
"""a price may be so many times the average price, and the average so many times it"""
AVERAGE_MINS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What orders of one symbol must keep to. Prices and quantities are units of 1e-8."""

    symbol: str
    base: str
    quote: str
    tick: int
    lot: int
    min_quantity: int
    max_quantity: int
    max_market_quantity: int
    min_notional: int
    min_price: int
    max_price: int
    start_price: int
    """where the synthetic price begins"""

    def check_quantity(self, quantity: int, *, market: bool) -> None:
        """Raise -1013 LOT_SIZE or MARKET_LOT_SIZE."""
        if not self.min_quantity <= quantity <= self.max_quantity or quantity % self.lot:
            raise filter_failure("LOT_SIZE")
        if market and quantity > self.max_market_quantity:
            raise filter_failure("MARKET_LOT_SIZE")

    def check_price(self, price: int) -> None:
        """Raise -1013 PRICE_FILTER."""
        if not self.min_price <= price <= self.max_price or price % self.tick:
            raise filter_failure("PRICE_FILTER")

    def check_band(self, price: int, average: int) -> None:
        """Raise -1013 PERCENT_PRICE_BY_SIDE; ``average`` 0: nothing has traded yet."""
        if average and not average <= price * BAND_FACTOR <= average * BAND_FACTOR**2:
            raise filter_failure("PERCENT_PRICE_BY_SIDE")

    def check_notional(self, price: int, quantity: int, *, market: bool) -> None:
        """Raise -1013 NOTIONAL; for an order at market ``price`` is the average one."""
        notional = fixed.notional(price, quantity)
        if notional < self.min_notional or (notional > MAX_NOTIONAL and not market):
            raise filter_failure("NOTIONAL")

    def check_open_orders(self, count: int) -> None:
        """Raise -2010 when ``count`` orders of this symbol are open already."""
        if count >= MAX_OPEN_ORDERS:
            raise ApiError(-2010, "Filter failure: MAX_NUM_ORDERS")

    def check_stop_orders(self, count: int) -> None:
        """Raise -2010 when ``count`` stop orders of this symbol wait already."""
        if count >= MAX_STOP_ORDERS:
            raise ApiError(-2010, "Filter failure: MAX_NUM_ALGO_ORDERS")

    def listing(self) -> dict[str, Any]:
        """Return this symbol's entry in ``exchangeInfo``."""
        return {
            "symbol": self.symbol,
            "status": "TRADING",
            "baseAsset": self.base,
            "baseAssetPrecision": fixed.DECIMALS,
            "quoteAsset": self.quote,
            "quotePrecision": fixed.DECIMALS,
            "quoteAssetPrecision": fixed.DECIMALS,
            "baseCommissionPrecision": fixed.DECIMALS,
            "quoteCommissionPrecision": fixed.DECIMALS,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": False,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self._filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": ["NONE"],
        }

    def _filters(self) -> list[dict[str, Any]]:
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": fixed.show(self.min_price),
                "maxPrice": fixed.show(self.max_price),
                "tickSize": fixed.show(self.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": fixed.show(self.min_quantity),
                "maxQty": fixed.show(self.max_quantity),
                "stepSize": fixed.show(self.lot),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": fixed.show(0),
                "maxQty": fixed.show(self.max_market_quantity),
                "stepSize": fixed.show(0),
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": str(BAND_FACTOR),
                "bidMultiplierDown": str(1 / BAND_FACTOR),
                "askMultiplierUp": str(BAND_FACTOR),
                "askMultiplierDown": str(1 / BAND_FACTOR),
                "avgPriceMins": AVERAGE_MINS,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": fixed.show(self.min_notional),
                "applyMinToMarket": True,
                "maxNotional": fixed.show(MAX_NOTIONAL),
                "applyMaxToMarket": False,
                "avgPriceMins": AVERAGE_MINS,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_OPEN_ORDERS},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": MAX_STOP_ORDERS},
            {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": MAX_AMENDS},
        ]


def _usdt(base: str, *, tick: str, lot: str, largest: str, market: str, start: str) -> Rules:
    return Rules(
        symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        tick=fixed.parse(tick),
        lot=fixed.parse(lot),
        min_quantity=fixed.parse(lot),
        max_quantity=fixed.parse(largest),
        max_market_quantity=fixed.parse(market),
        min_notional=fixed.parse("5"),
        min_price=fixed.parse(tick),
        max_price=fixed.parse("1000000"),
        start_price=fixed.parse(start),
    )


_LISTED = {
    rules.symbol: rules
    for rules in (
        _usdt("BTC", tick="0.01", lot="0.00001", largest="9000", market="110", start="61800"),
        _usdt("ETH", tick="0.01", lot="0.0001", largest="9000", market="2500", start="2680"),
        _usdt("SOL", tick="0.01", lot="0.001", largest="90000", market="25000", start="155"),
        _usdt("BNB", tick="0.01", lot="0.001", largest="90000", market="4000", start="510"),
        _usdt("XRP", tick="0.0001", lot="0.1", largest="9222449", market="1500000", start="0.6"),
    )
}


def rules_of(symbol: str) -> Rules:
    """Return the rules of a listed symbol; ExchangeStartError names the ones there are."""
    try:
        return _LISTED[symbol]
    except KeyError:
        known = ", ".join(_LISTED)
        raise ExchangeStartError(f"symbol {symbol!r} is not listed; listed: {known}") from None
