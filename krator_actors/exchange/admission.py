"""Whether the venue takes an order: filters, duplicates, what it would do at once, funds."""

from __future__ import annotations

from krator_actors.exchange import fixed
from krator_actors.exchange.account import Account
from krator_actors.exchange.errors import ApiError, OrderRejectedError
from krator_actors.exchange.market import Market
from krator_actors.exchange.orders import STOP_TYPES, Order, OrderRequest, is_reached
from krator_actors.exchange.rules import AVERAGE_MINS, MAX_AMENDS
from krator_actors.model import OrderSide


def check_filters(request: OrderRequest, market: Market) -> None:
    """Raise ApiError when a filter of the symbol is broken: it never reaches the engine."""
    rules, quantity = request.rules, request.quantity
    at_market = request.limit is None
    rules.check_quantity(quantity, market=at_market)
    average = market.tape.average_price(AVERAGE_MINS)
    for price in (request.price, request.stop_price):
        if price:
            rules.check_price(price)
            rules.check_band(price, average)
    price = request.price or request.stop_price or _market_price(market, request)
    rules.check_notional(price, quantity, market=at_market)


def check_engine(request: OrderRequest, market: Market, account: Account) -> None:
    """Raise ApiError when the matching engine refuses the order; nothing has happened then."""
    if account.has_open(request.client_order_id):
        raise ApiError(-2010, "Duplicate order sent.")
    symbol = request.rules.symbol
    request.rules.check_open_orders(len(account.open_orders(symbol)))
    if request.order_type in STOP_TYPES:
        request.rules.check_stop_orders(len(account.waiting_orders(symbol)))
        last = market.tape.last_price
        if is_reached(request.order_type, request.side, request.stop_price, last):
            raise OrderRejectedError(
                "Order would trigger immediately.",
                reason="STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
            )
    fillable = market.fillable(request.side, request.quantity, request.limit)
    if request.order_type == "LIMIT_MAKER" and fillable:
        raise OrderRejectedError(
            "Order would immediately match and take.", reason="WOULD_MATCH_IMMEDIATELY"
        )
    _check_funds(request, fillable, account)


def check_amend(order: Order, quantity: int) -> None:
    """Raise ApiError when ``order`` cannot be made ``quantity`` large; it is unchanged then."""
    order.rules.check_quantity(quantity, market=order.limit is None)
    if quantity > order.quantity:
        raise ApiError(-2038, "Order amend (quantity increase) is not supported.")
    if quantity == order.quantity:
        raise ApiError(-2038, "The requested action would change no state; rejecting.")
    if quantity <= order.executed:
        raise ApiError(-2038, "Unknown order sent.")
    if order.amends >= MAX_AMENDS:
        raise ApiError(-2038, "Filter failure: MAX_NUM_ORDER_AMENDS")
    price = order.price or order.stop_price
    order.rules.check_notional(price, quantity, market=order.limit is None)


def _check_funds(request: OrderRequest, fillable: list[tuple[int, int]], account: Account) -> None:
    price = request.price or request.stop_price
    if request.side is OrderSide.SELL:
        asset, needed = request.rules.base, request.quantity
    elif price:
        asset, needed = request.rules.quote, fixed.notional(price, request.quantity)
    else:
        asset = request.rules.quote
        needed = sum(fixed.notional(price, quantity) for price, quantity in fillable)
    if account.holding(asset).free < needed:
        raise OrderRejectedError(
            "Account has insufficient balance for requested action.",
            reason="INSUFFICIENT_BALANCES",
        )


def _market_price(market: Market, request: OrderRequest) -> int:
    """Return the price that a market order's notional is judged by."""
    average = market.tape.average_price(AVERAGE_MINS)
    if average:
        return average
    best = market.fillable(request.side, request.quantity, None)
    if not best:
        raise ApiError(-1112, "No orders on book for symbol.")
    return best[0][0]
