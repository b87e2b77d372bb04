"""The simulated venue: somebody else's computer, behind Binance's spot dialect.

It shares nothing with Krator but the vocabulary in ``krator_actors.model``, runs as a process of
its own (``krator exchange``, or ``python -m krator_actors.exchange``), and goes on when everything
else is dead.

How it hangs together::

    main → run → assembly ─ server ─ rest, rest_account, ws_api, streams, user_streams, faults
                    │                connections, lifetime
                    ├ methods                       what an account can ask for, behind both doors
                    ├ venue ─ admission, account, ledger  takes orders: checks, writes down, tells
                    └ session ─ synthetic_session ─ synthetic ─ matching, order_flow
                              └ replay_session ─ replay_market ─ displayed_book, recording

Inside, prices and quantities are ints of 1e-8 (``fixed``); at the door they are Binance's text.

Control, which is not Binance's: ``GET /sim/status``; ``POST /sim/faults`` with one of the actions
in ``faults``, for example ``{"action": "lose_answer", "count": 2}``; ``POST /sim/parent`` with
``{"pid": N}``, the process that ``--linger`` follows from then on.

The ledger
==========
``DIR/ledger.jsonl`` is what the venue did: one JSON object a line, written with ``os.write`` before
the answer, event or market data that tells of it. It is never rewritten; a restart appends to it
after cutting off a line that the last process did not finish. All lines of one request are written
together. Amounts are text with eight decimals. Every line has ``record`` (what it is), ``seq``
(from 1, without a gap, over all restarts) and ``ts_ns`` (wall clock, UTC):

``opened``
    The exchange started: mode, seed, symbols, pid, epoch_ns, torn_bytes.
``closed``
    It ended in an orderly way: reason.
``order``
    An order was taken: orderId, clientOrderId, symbol, side, type, timeInForce, qty, price
    (``0.00000000`` for an order at market), received_ns, stopPrice (``0.00000000`` for an order
    that does not wait).
``triggered``
    A stop order's price was reached, and it is in the market: orderId, clientOrderId, symbol.
``amended``
    An order was made smaller in its place: orderId, clientOrderId, origClientOrderId (its id
    before), symbol, qty (of the whole order, filled part included).
``rejected``
    An order.place was refused, and nothing happened: code, msg, params as they were sent (without
    key and signature; ``params.newClientOrderId`` is the client order id), received_ns.
``fill``
    Part of an order traded: tradeId, orderId, clientOrderId, symbol, side, qty, price, quoteQty,
    commission, commissionAsset (base for a buy, quote for a sell), isMaker. When two own orders
    meet there are two fills with the same tradeId.
``ended``
    An order is final: orderId, clientOrderId, symbol, status (FILLED, CANCELED, EXPIRED),
    executedQty, cancelClientOrderId, reason.
``cancel_rejected``
    A cancellation was refused: code, msg, params, received_ns.
``balance``
    An asset's balance after the lines before it: asset, free, locked, reason (deposit, order, fill,
    amended, ended). The first one, ``deposit``, is what the account began with.
``fault``
    Somebody posted to ``/sim/faults``: action, params.
``fault_hit``
    A fault had its effect on a request: action, method, acted (whether the venue did what was
    asked), clientOrderId.
``ids``
    Ids of ``name`` below ``below`` may have been given out; for the venue's own restart.

An order that has no ``ended`` is open. ``client_order_id`` is unique among open orders only.
"""
