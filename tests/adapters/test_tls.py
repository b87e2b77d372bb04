from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.tls import NotVerifiedError, check_verified_redis, verified_postgres
from krator_actors.config import Config, ConfigError
from krator_actors.external import external_dsn, external_redis


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://krator@/postgres?host=/run/pg&port=5432",
        "postgresql://u:p@localhost/db",
        "postgresql://u:p@127.0.0.1:5432/db?sslmode=disable",
        "postgresql://u:p@[::1]:5432/db",
        "postgresql:///db",
        "postgresql://u@%2Frun%2Fpg/db",
        "postgresql://u:p@db.example.com/db?sslmode=verify-full&sslrootcert=/etc/ca.pem",
    ],
)
def test_url_that_is_safe_stays_as_it_is(dsn: str) -> None:
    assert verified_postgres(dsn) == dsn


@pytest.mark.parametrize(
    ("dsn", "verified"),
    [
        ("postgresql://u:p@db/x", "postgresql://u:p@db/x?sslmode=verify-full"),
        (
            "postgresql://u:p@db/x?sslrootcert=/ca.pem",
            "postgresql://u:p@db/x?sslrootcert=/ca.pem&sslmode=verify-full",
        ),
        (
            "postgresql://u:p@10.0.0.7:5433/x",
            "postgresql://u:p@10.0.0.7:5433/x?sslmode=verify-full",
        ),
        (
            "postgresql://u:p@localhost,db:5433/x",
            "postgresql://u:p@localhost,db:5433/x?sslmode=verify-full",
        ),
    ],
)
def test_url_to_another_host_is_verified(dsn: str, verified: str) -> None:
    assert verified_postgres(dsn) == verified


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "x y"])
@pytest.mark.parametrize("host", ["u:pw-1@db/x?", "u:pw-1@/x?host=db&"])
def test_less_than_verified_tls_to_another_host_is_refused(host: str, mode: str) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        verified_postgres(f"postgresql://{host}sslmode={mode}")

    assert "pw-1" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "unix:///run/redis.sock",
        "redis://localhost:6379/0",
        "redis://:pw@127.0.0.1/0",
        "redis://[::1]:6379",
        "rediss://:pw@cache.example.com:6380/0",
        "rediss://cache/0?ssl_cert_reqs=required&ssl_check_hostname=true",
    ],
)
def test_redis_url_that_is_safe_is_taken(url: str) -> None:
    check_verified_redis(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:pw-1@cache.example.com:6379/0",
        "redis://10.0.0.7",
        "rediss://:pw-1@cache/0?ssl_cert_reqs=none",
        "rediss://:pw-1@cache/0?ssl_cert_reqs=optional",
        "rediss://:pw-1@cache/0?ssl_check_hostname=false",
    ],
)
def test_redis_url_without_verified_tls_is_refused(url: str) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        check_verified_redis(url)

    assert "pw-1" not in str(raised.value)


@given(st.ip_addresses())
def test_only_the_loopback_addresses_are_local(address: object) -> None:
    host = f"[{address}]" if ":" in str(address) else str(address)
    is_loopback = address.is_loopback  # type: ignore[attr-defined]

    dsn = verified_postgres(f"postgresql://{host}/x")

    assert dsn.endswith("sslmode=verify-full") is not is_loopback


def test_configuration_refuses_and_may_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRATOR_POSTGRES_DSN", "postgresql://u:pw-1@db/x?sslmode=require")
    monkeypatch.setenv("KRATOR_REDIS_URL", "redis://:pw-1@cache/0")
    strict = Config()
    lax = Config.model_validate(
        {"postgres": {"require_tls": False}, "redis": {"require_tls": False}}
    )

    for refused in (external_dsn, external_redis):
        with pytest.raises(ConfigError, match="require_tls = false") as raised:
            refused(strict)
        assert "pw-1" not in str(raised.value)
        assert refused(lax) is not None
