"""Erlang-style supervision for Python processes, on Thespian.

Nothing in here knows of trading. See ``supervisors/README.md`` for a complete example.
"""
