"""Holdings, cash, profit and loss: an exact fold of the account's opening and its fills. Pure.

For every symbol that is priced, at any moment::

    cash + quantity * mark - opening - transfers = realized_pnl + unrealized_pnl - fees

where an opening holding counts at the price of the first fill in its symbol. Transfers are what the
venue turned out to have more or less of than our record said (a deposit, a withdrawal): no profit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from decimal import Context, Decimal, localcontext

import msgspec

from krator_actors.messages.orders import OrderFilled
from krator_actors.model import symbol_of

_ZERO = Decimal(0)
# Wide enough that no sum or product of a fill is rounded; quotients are cut to _STEP.
_EXACT = Context(prec=96)
_STEP = Decimal("1e-12")


class Position(msgspec.Struct, kw_only=True):
    """What is held of one symbol. Changed by ``Portfolio`` only."""

    symbol: str
    quantity: Decimal = _ZERO
    """negative only when the venue filled more than we knew of"""
    cost: Decimal = _ZERO
    """what ``quantity`` was bought for, in the quote currency"""
    is_cost_known: bool = True
    """False for an opening holding until the first fill; that fill's price is then its cost"""
    realized_pnl: Decimal = _ZERO
    """fees not included"""
    fees: Decimal = _ZERO
    """in the quote currency; a fee in the base currency counts at the price of its fill, one in
    a third currency at its mark then, see ``Portfolio.unvalued_fees`` when there is none"""
    mark: Decimal | None = None
    """the last known price: the mid, before the first quote the last fill; None: not known"""
    is_mark_quoted: bool = False
    """True when ``mark`` came from a quote: then fills no longer move it"""
    value: Decimal = _ZERO
    """``quantity`` at ``mark``, rounded to 1e-12; 0 while there is no mark"""

    @property
    def average_price(self) -> Decimal:
        """Cost of one unit; 0 when nothing is held or its cost is not known."""
        return self.cost / self.quantity if self.quantity and self.is_cost_known else _ZERO

    @property
    def unrealized_pnl(self) -> Decimal:
        """What closing at the mark would realize; 0 while the cost or the mark is not known."""
        if self.mark is None or not self.is_cost_known:
            return _ZERO
        return self.quantity * self.mark - self.cost

    def trade(self, signed: Decimal, price: Decimal) -> None:
        """Add ``signed`` units at ``price``; what closes is realized against the average cost."""
        if not self.is_cost_known:
            self.cost = self.quantity * price
            self.is_cost_known = True
        opened = signed
        if self.quantity * signed < 0:
            closed = min(abs(signed), abs(self.quantity)).copy_sign(signed)
            opened = signed - closed
            self.realized_pnl += self.release_cost(closed) - closed * price
        self.quantity += opened
        self.cost += opened * price

    def release_cost(self, closed: Decimal) -> Decimal:
        """Take ``closed`` (against the position's sign) off; return the change of the cost."""
        whole = closed == -self.quantity
        before = self.cost
        share = _ZERO if whole else (before * closed / self.quantity).quantize(_STEP)
        self.cost = _ZERO if whole else before + share
        self.quantity += closed
        return self.cost - before


class PortfolioState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a Portfolio knows; what a snapshot holds."""

    cash: Decimal
    is_opened: bool
    transfers: Decimal
    unvalued_fees: dict[str, Decimal]
    positions: tuple[Position, ...]
    trades: tuple[tuple[str, str, str], ...]
    fills: int


class Portfolio:
    """Cash in one quote currency and the holdings of one account. Not thread-safe.

    ``symbols`` are the ones that get prices; holdings of others are kept but are no part of the
    equity, because nothing values them. The ids of the last ``trades_limit`` fills are remembered.
    """

    def __init__(
        self, *, quote: str, venue: str, symbols: Collection[str], trades_limit: int = 20_000
    ) -> None:
        self.quote = quote
        self.venue = venue
        self.cash = _ZERO
        # False before the first AccountReport: the cash is not known.
        self.is_opened = False
        # What came or went without a trade, in the quote currency.
        self.transfers = _ZERO
        # Asset to fees paid in it that no price was known for: part of no other sum.
        self.unvalued_fees: dict[str, Decimal] = {}
        self.positions: dict[str, Position] = {}
        self.fills = 0
        self._symbols = frozenset(symbols)
        self._trades_limit = trades_limit
        # (symbol, trade id, venue order id) of known fills, oldest first. Ordered, because a plain
        # dict takes long to find its oldest.
        self._trades: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        # Sum of the values of the positions that count, and of their sizes.
        self.net_exposure = _ZERO
        self.gross_exposure = _ZERO
        # Symbols that count and are held, without any price.
        self._unmarked: set[str] = set()

    @property
    def equity(self) -> Decimal | None:
        """Cash and positions at their marks.

        None while the opening balances or the price of a holding are not known.
        """
        return self.known_equity if self.is_opened and not self._unmarked else None

    @property
    def known_equity(self) -> Decimal:
        """As ``equity``, what has no price counting as nothing."""
        return self.cash + self.net_exposure

    def position(self, symbol: str) -> Position:
        """Return the position in ``symbol``, an empty one if there never was any."""
        position = self.positions.get(symbol)
        if position is None:
            position = self.positions[symbol] = Position(symbol=symbol)
        return position

    def open(self, balances: Mapping[str, Decimal]) -> None:
        """Take the account's opening balances (asset to total); what they cost is not known.

        Only the first ones open it; later ones change nothing.
        """
        if self.is_opened:
            return
        self.is_opened = True
        self.cash += balances.get(self.quote, _ZERO)
        for asset, total in balances.items():
            if asset != self.quote and total:
                position = self.position(self._symbol_of(asset))
                position.is_cost_known = bool(position.quantity)
                position.quantity += total
                self._revalue(position)

    def apply_fill(self, fill: OrderFilled) -> bool:
        """Take one fill; False when it was known. ValueError when its quote is not ours."""
        base, quote = fill.symbol.rpartition(".")[0].split("-")
        if quote != self.quote:
            raise ValueError(f"{fill.symbol} is not quoted in {self.quote}")
        # With the order, because two of our own orders that meet share one trade.
        trade = (fill.symbol, fill.trade_id, fill.venue_order_id)
        if trade in self._trades:
            return False
        self._trades[trade] = None
        if len(self._trades) > self._trades_limit:
            self._trades.popitem(last=False)
        self.fills += 1
        with localcontext(_EXACT):
            self._book(fill, base)
        return True

    def mark(self, symbol: str, price: Decimal) -> None:
        """Value a position at ``price``, the mid of a quote."""
        position = self.position(symbol)
        position.mark = price
        position.is_mark_quoted = True
        if position.quantity or position.value:
            self._revalue(position)

    def adjust(self, asset: str, amount: Decimal) -> Decimal | None:
        """Take ``amount`` more of an asset, which the venue has and our record had not.

        It came at its mark, so it is no profit and no loss. Returns its value in the quote
        currency: None when it has no price yet, 0 for an asset that is no part of the equity.
        """
        if asset == self.quote:
            self.cash += amount
            self.transfers += amount
            return amount
        position = self.position(self._symbol_of(asset))
        if position.mark is None:
            position.quantity += amount
            position.is_cost_known = position.is_cost_known and not position.quantity
            self._revalue(position)
            return None if position.symbol in self._symbols else _ZERO
        with localcontext(_EXACT):
            value = amount * position.mark
            position.trade(amount, position.mark)
            self.transfers += value
            self._revalue(position)
        return value

    def state(self) -> PortfolioState:
        """Return what ``restore`` needs; it shares nothing that is changed later."""
        return PortfolioState(
            cash=self.cash,
            is_opened=self.is_opened,
            transfers=self.transfers,
            unvalued_fees=dict(self.unvalued_fees),
            positions=tuple(
                msgspec.structs.replace(position) for position in self.positions.values()
            ),
            trades=tuple(self._trades),
            fills=self.fills,
        )

    def restore(self, state: PortfolioState) -> None:
        """Become what ``state`` says. Marks are taken for old: the next fill or quote moves them.

        Only for a portfolio that is still empty.
        """
        self.cash = state.cash
        self.is_opened = state.is_opened
        self.transfers = state.transfers
        self.unvalued_fees = dict(state.unvalued_fees)
        self._trades = OrderedDict.fromkeys(state.trades)
        self.fills = state.fills
        for saved in state.positions:
            position = msgspec.structs.replace(saved, is_mark_quoted=False, value=_ZERO)
            self.positions[position.symbol] = position
            self._revalue(position)

    def _book(self, fill: OrderFilled, base: str) -> None:
        signed = fill.last_quantity * fill.side.sign
        position = self.position(fill.symbol)
        self.cash -= signed * fill.last_price
        if fill.fee_currency == base:
            # The fee never reaches us: as if it had been sold at once, for the fee.
            position.trade(signed - fill.fee, fill.last_price)
            position.fees += fill.fee * fill.last_price
        else:
            position.trade(signed, fill.last_price)
            if fill.fee_currency == self.quote:
                self.cash -= fill.fee
                position.fees += fill.fee
            elif fill.fee:
                self._pay_in_third(fill, position)
        if not position.is_mark_quoted:
            position.mark = fill.last_price
        self._revalue(position)

    def _pay_in_third(self, fill: OrderFilled, position: Position) -> None:
        purse = self.position(self._symbol_of(fill.fee_currency))
        if purse.mark is None:
            paid = self.unvalued_fees.get(fill.fee_currency, _ZERO) + fill.fee
            self.unvalued_fees[fill.fee_currency] = paid
            purse.quantity -= fill.fee
        else:
            # As if it had been sold at its mark, for the fee.
            purse.trade(-fill.fee, purse.mark)
            position.fees += fill.fee * purse.mark
        self._revalue(purse)

    def _symbol_of(self, asset: str) -> str:
        return symbol_of(asset, self.quote, self.venue)

    def _revalue(self, position: Position) -> None:
        if position.symbol not in self._symbols:
            return
        if position.mark is None:
            (self._unmarked.add if position.quantity else self._unmarked.discard)(position.symbol)
            return
        self._unmarked.discard(position.symbol)
        value = _EXACT.quantize(_EXACT.multiply(position.quantity, position.mark), _STEP)
        self.net_exposure += value - position.value
        self.gross_exposure += abs(value) - abs(position.value)
        position.value = value


def quote_of(symbols: tuple[str, ...]) -> str:
    """Return the quote currency that all ``symbols`` have; ValueError when it is not one."""
    quotes = sorted({symbol.rpartition(".")[0].partition("-")[2] for symbol in symbols})
    if len(quotes) != 1:
        raise ValueError(f"one account has one quote currency; the symbols have {quotes}")
    return quotes[0]
