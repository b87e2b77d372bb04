"""The simulated venue: somebody else's computer, behind Binance's spot dialect.

It shares nothing with Krator but the vocabulary in ``krator_actors.model``.
"""
