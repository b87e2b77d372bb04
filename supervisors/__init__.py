"""Erlang-style supervision for Python processes, on Thespian.

Nothing in here knows of trading. ``Heart`` runs a tree of ``Actor`` subclasses that a
``SupervisorSpec`` describes; ``Client`` speaks with them from outside.
"""
