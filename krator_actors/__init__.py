"""Krator: a real-time algorithmic trading system that heals itself."""
