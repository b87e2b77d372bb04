"""PostgreSQL and Redis elsewhere: where the environment says they are, if it does."""

from __future__ import annotations

import os

from krator_actors.adapters.redis_store import check_url
from krator_actors.adapters.tls import (
    NotVerifiedError,
    check_verified_redis,
    verified_postgres,
)
from krator_actors.config import Config, ConfigError


def external_dsn(config: Config) -> str | None:
    """Return the configured PostgreSQL's URL, or None when it is to be embedded.

    Raises ConfigError when it leads to another host and not by verified TLS.
    """
    dsn = os.environ.get(config.postgres.dsn_env) or None
    if dsn is not None and config.postgres.require_tls:
        try:
            return verified_postgres(dsn)
        except NotVerifiedError as error:
            raise ConfigError(
                f"environment variable {config.postgres.dsn_env}: {error}, or set"
                " postgres.require_tls = false"
            ) from error
    return dsn


def external_redis(config: Config) -> str | None:
    """Return the configured Redis' URL, or None when it is to be embedded.

    Raises ConfigError when the variable holds no such URL, or one that leads to another host and
    not by verified TLS; it may hold a password, so the text does not have it.
    """
    url = os.environ.get(config.redis.url_env) or None
    if url is not None:
        try:
            check_url(url)
        except ValueError as error:
            raise ConfigError(f"environment variable {config.redis.url_env}: {error}") from error
        if config.redis.require_tls:
            try:
                check_verified_redis(url)
            except NotVerifiedError as error:
                raise ConfigError(
                    f"environment variable {config.redis.url_env}: {error}, or set"
                    " redis.require_tls = false"
                ) from error
    return url
