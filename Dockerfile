# syntax=docker/dockerfile:1
# Build:  docker build -t crawl .
# Run:    docker run --rm -v "$PWD/out:/data" crawl run https://example.com/ --dir /data/example -o /data/example.jsonl
# The folder mounted at /data must be writable for user 10001.

FROM python:3.13-slim-bookworm AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/crawl
COPY pyproject.toml README.md LICENSE ./
COPY config ./config
COPY crawler ./crawler
RUN /opt/crawl/bin/pip install . && /opt/crawl/bin/python -m compileall -q /opt/crawl/lib

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Crawl" \
      org.opencontainers.image.description="A concurrent web crawler on Twisted and treq: exact across kill -9, polite and guarded by default" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 crawl \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin crawl \
 && install -d -o 10001 -g 10001 /data
COPY --from=builder /opt/crawl /opt/crawl
ENV PATH=/opt/crawl/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /data
WORKDIR /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["crawl"]
CMD ["--help"]
