# Krator in a container: built in one stage, run from another that has no build tools and no pip.
# The flags to run it with are in docs/OPERATIONS.md.

FROM python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# The dependencies before the sources, because they change less often.
COPY requirements.lock requirements-run.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement requirements.lock \
    && python -m venv --without-pip /opt/krator \
    && /opt/build/bin/pip --python /opt/krator/bin/python install \
        --require-hashes --requirement requirements-run.lock
COPY pyproject.toml README.md LICENSE ./
COPY supervisors supervisors
COPY krator_actors krator_actors
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/krator/bin/python install \
        --no-deps --no-index --find-links /wheels krator

FROM python:3.11.13-slim-bookworm
RUN python -m pip uninstall --yes --quiet pip setuptools wheel \
    && groupadd --gid 1001 krator \
    && useradd --uid 1001 --gid 1001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin krator \
    && install --directory --owner=1001 --group=1001 --mode=0700 /data
COPY --from=build /opt/krator /opt/krator
ENV PATH=/opt/krator/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A configuration, when there is one, is mounted at /app/conf/krator.toml.
WORKDIR /app
USER 1001:1001
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=25s --start-period=90s --retries=3 \
    CMD ["krator", "status", "--json", "--data-dir", "/data"]
ENTRYPOINT ["krator"]
CMD ["run", "--data-dir", "/data"]
