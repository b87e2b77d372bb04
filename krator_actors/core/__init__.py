"""The functional core: it decides. No I/O, no clock, no randomness, no actor, no logging."""
