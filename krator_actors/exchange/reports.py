"""What the venue says of orders, trades and balances, in Binance's field names."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from krator_actors.exchange import fixed
from krator_actors.exchange.account import Account
from krator_actors.exchange.orders import Order, Trade
from krator_actors.model import NANOS_PER_MILLI, OrderSide

_ZERO = fixed.show(0)


def order_status(order: Order) -> dict[str, Any]:
    """``order.status``, and one entry of ``openOrders.status``."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        **_progress(order),
        "stopPrice": fixed.show(order.stop_price),
        "icebergQty": _ZERO,
        "time": order.time_ms,
        "updateTime": order.update_ms,
        "isWorking": order.working_ms is not None,
        "workingTime": _working_time(order),
        "selfTradePreventionMode": "NONE",
    }


def placed(order: Order, trades: list[Trade], response_type: str) -> dict[str, Any]:
    """``order.place``: ACK, RESULT or FULL."""
    acknowledged = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": order.update_ms,
    }
    if response_type == "ACK":
        return acknowledged
    result = {
        **acknowledged,
        **_progress(order),
        **_stop_price(order),
        "workingTime": _working_time(order),
        "selfTradePreventionMode": "NONE",
    }
    if response_type == "RESULT":
        return result
    fills = [
        {
            "price": fixed.show(trade.price),
            "qty": fixed.show(trade.quantity),
            "commission": fixed.show(trade.commission),
            "commissionAsset": trade.commission_asset,
            "tradeId": trade.trade_id,
        }
        for trade in trades
    ]
    return {**result, "fills": fills}


def canceled(order: Order, cancel_id: str) -> dict[str, Any]:
    """``order.cancel``: the cancellation has its own id, the order's is ``origClientOrderId``."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": cancel_id,
        "transactTime": order.update_ms,
        **_progress(order),
        **_stop_price(order),
        "selfTradePreventionMode": "NONE",
    }


def amended(order: Order, before_id: str) -> dict[str, Any]:
    """``order.amend.keepPriority``; its fields are called otherwise than everywhere else."""
    return {
        "transactTime": order.update_ms,
        "executionId": order.order_id,
        "amendedOrder": {
            "symbol": order.symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "origClientOrderId": before_id,
            "clientOrderId": order.client_order_id,
            "price": fixed.show(order.price),
            "qty": fixed.show(order.quantity),
            "executedQty": fixed.show(order.executed),
            "preventedQty": _ZERO,
            "quoteOrderQty": _ZERO,
            "cumulativeQuoteQty": fixed.show(order.executed_quote),
            "status": order.status,
            "timeInForce": order.time_in_force,
            "type": order.order_type,
            "side": order.side.value,
            **_stop_price(order),
            "workingTime": _working_time(order),
            "selfTradePreventionMode": "NONE",
        },
    }


def my_trade(trade: Trade) -> dict[str, Any]:
    """One entry of ``myTrades``."""
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": fixed.show(trade.price),
        "qty": fixed.show(trade.quantity),
        "quoteQty": fixed.show(trade.quote),
        "commission": fixed.show(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": trade.time_ms,
        "isBuyer": trade.side is OrderSide.BUY,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


def account_status(account: Account, *, fee_rate: int, omit_zero: bool) -> dict[str, Any]:
    """``account.status``."""
    rate = fixed.show(fee_rate)
    basis_points = fee_rate * 10_000 // fixed.SCALE
    trades = [trade for trades in account.trades.values() for trade in trades[-1:]]
    return {
        "makerCommission": basis_points,
        "takerCommission": basis_points,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": rate, "taker": rate, "buyer": _ZERO, "seller": _ZERO},
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": max((trade.time_ms for trade in trades), default=0),
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": fixed.show(h.free), "locked": fixed.show(h.locked)}
            for asset, h in sorted(account.holdings.items())
            if not omit_zero or h.free or h.locked
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def execution(
    order: Order,
    kind: str,
    *,
    trade: Trade | None = None,
    cancel_id: str = "",
    orig_id: str = "",
) -> dict[str, Any]:
    """``executionReport``: kind NEW, TRADE, CANCELED, REPLACED or EXPIRED.

    In a CANCELED report ``c`` is the cancellation's id and ``C`` the order's own; in a REPLACED one
    ``C`` is the id that it had before, as Binance has it. A stop order has two NEW reports: when it
    is taken, and with ``w`` true when its price is reached.
    """
    now_ms = time.time_ns() // NANOS_PER_MILLI
    working = {} if order.working_ms is None else {"W": order.working_ms}
    return {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": cancel_id or order.client_order_id,
        "S": order.side.value,
        "o": order.order_type,
        "f": order.time_in_force,
        "q": fixed.show(order.quantity),
        "p": fixed.show(order.price),
        "P": fixed.show(order.stop_price),
        "F": _ZERO,
        "g": -1,
        "C": order.client_order_id if cancel_id else orig_id,
        "x": kind,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": fixed.show(trade.quantity if trade else 0),
        "z": fixed.show(order.executed),
        "L": fixed.show(trade.price if trade else 0),
        "n": fixed.show(trade.commission) if trade else "0",
        "N": trade.commission_asset if trade else None,
        "T": order.update_ms,
        "t": trade.trade_id if trade else -1,
        "I": order.order_id,
        "w": order.is_open and order.rests and not order.is_waiting,
        "m": trade.is_maker if trade else False,
        "M": False,
        "O": order.time_ms,
        "Z": fixed.show(order.executed_quote),
        "Y": fixed.show(trade.quote if trade else 0),
        "Q": _ZERO,
        **working,
        "V": "NONE",
    }


def rejection(reason: str, params: dict[str, Any], received_ns: int) -> dict[str, Any]:
    """``executionReport`` of kind REJECTED; the order has no id."""
    time_ms = received_ns // NANOS_PER_MILLI
    return {
        "e": "executionReport",
        "E": time_ms,
        "s": params.get("symbol", ""),
        "c": params.get("newClientOrderId", ""),
        "S": params.get("side", ""),
        "o": params.get("type", ""),
        "f": params.get("timeInForce", "GTC"),
        "q": str(params.get("quantity", _ZERO)),
        "p": str(params.get("price", _ZERO)),
        "P": str(params.get("stopPrice", _ZERO)),
        "F": _ZERO,
        "g": -1,
        "C": "",
        "x": "REJECTED",
        "X": "REJECTED",
        "r": reason,
        "i": -1,
        "l": _ZERO,
        "z": _ZERO,
        "L": _ZERO,
        "n": "0",
        "N": None,
        "T": time_ms,
        "t": -1,
        "I": -1,
        "w": False,
        "m": False,
        "M": False,
        "O": time_ms,
        "Z": _ZERO,
        "Y": _ZERO,
        "Q": _ZERO,
        "V": "NONE",
    }


def position(account: Account, assets: Iterable[str], now_ms: int) -> dict[str, Any]:
    """``outboundAccountPosition`` of the assets that changed."""
    balances = []
    for asset in assets:
        holding = account.holding(asset)
        balances.append(
            {"a": asset, "f": fixed.show(holding.free), "l": fixed.show(holding.locked)}
        )
    return {"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": balances}


def _progress(order: Order) -> dict[str, Any]:
    return {
        "price": fixed.show(order.price),
        "origQty": fixed.show(order.quantity),
        "executedQty": fixed.show(order.executed),
        "origQuoteOrderQty": _ZERO,
        "cummulativeQuoteQty": fixed.show(order.executed_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.order_type,
        "side": order.side.value,
    }


def _stop_price(order: Order) -> dict[str, Any]:
    # Binance shows it in answers of orders that have one only.
    return {"stopPrice": fixed.show(order.stop_price)} if order.stop_price else {}


def _working_time(order: Order) -> int:
    return -1 if order.working_ms is None else order.working_ms
