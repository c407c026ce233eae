# syntax=docker/dockerfile:1
# Three stages: Node builds the page, Python the wheel, and what runs has neither Node nor a compiler.
# docs/operations.md says how to run it.

ARG PYTHON_VERSION=3.13

FROM node:22-slim AS page
WORKDIR /src/console
COPY console/package.json console/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY graphql/ /src/graphql/
COPY console/ ./
RUN npm run build

FROM python:${PYTHON_VERSION}-slim AS wheel
WORKDIR /src
RUN python -m pip install --no-cache-dir build
COPY pyproject.toml README.md ./
COPY db/ db/
COPY trunkline/ trunkline/
COPY resolvers/ resolvers/
COPY schema/ schema/
COPY server/ server/
COPY --from=page /src/server/page/ server/page/
RUN python -m build --wheel --outdir /dist
RUN python -m venv /opt/trunkline \
    && /opt/trunkline/bin/python -m pip install --no-cache-dir "$(ls /dist/*.whl)[otel]" \
    && /opt/trunkline/bin/python -m pip uninstall --yes pip

FROM python:${PYTHON_VERSION}-slim
# The data directory is this user's alone; everything else may be read-only.
RUN groupadd --system --gid 10001 trunkline \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /data trunkline \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=wheel /opt/trunkline /opt/trunkline
ENV PATH=/opt/trunkline/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRUNKLINE_DATA_DIR=/data \
    TRUNKLINE_HOST=0.0.0.0 \
    TRUNKLINE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8787
STOPSIGNAL SIGTERM
# Raises, and so ends with 1, for whatever isn't 200.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('TRUNKLINE_PORT', '8787') + '/readyz', timeout=5)"]
ENTRYPOINT ["trunkline"]
CMD ["serve"]
