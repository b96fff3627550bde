# One image for every service; the command names it: docker run commonry serve gateway
#
# Any Python from 3.11 on will do as the base, by the same name in both stages. Where packages come from is pip's business:
# give it a configuration with --secret id=pip_conf,src=pip.conf.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS built
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1
WORKDIR /build
RUN python3 -m venv /opt/commonry
COPY requirements.lock ./
# All at once and complete, so nothing is resolved and nothing comes in without its hash.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    /opt/commonry/bin/pip install --require-hashes --no-deps --no-compile --only-binary=:all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
# Extras of pyproject.toml that are to be in the image: without the warehouse's it is half as large, and serves no analytics.
ARG EXTRAS=warehouse
COPY deploy/image/keep.py ./
# Bytecode is compiled here, because nothing can be written where it runs; it is good whatever the files' times.
RUN /opt/commonry/bin/pip install --no-deps --no-build-isolation --no-index --no-compile . \
    && /opt/commonry/bin/python keep.py ${EXTRAS} \
    && /opt/commonry/bin/pip uninstall --yes --quiet pip \
    && find /opt/commonry '(' -name '*.a' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' ')' -delete \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/commonry/lib

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Commonry" \
      org.opencontainers.image.description="A self-hosted sharing platform for items: list, reserve, pay, pick up, use, return." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin commonry \
    && install -d -o commonry -g commonry -m 0750 /var/lib/commonry
COPY --from=built /opt/commonry /opt/commonry
ENV PATH=/opt/commonry/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    COMMONRY_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
# Liveness: the process answers. It asks no neighbour. Without curl, and without what Python would load for more than this.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python3", "-ISc", "import os, socket; s = socket.create_connection(('127.0.0.1', int(os.environ.get('COMMONRY_PORT') or 8000)), 4); s.settimeout(4); s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); raise SystemExit(b' 200 ' not in s.recv(64))"]
ENTRYPOINT ["commonry"]
CMD ["--help"]
