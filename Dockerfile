# The image of vpcflow-exporter:  docker build -t vpcflow-exporter .
#
# The base is pinned by its full tag.  A tag can be moved, a digest cannot; to pin that too, ask the registry for it and
# build with both:
#   docker buildx imagetools inspect python:3.13.9-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON=3.13.9-slim-bookworm@sha256:... -t vpcflow-exporter .
#
# There is no HEALTHCHECK: the only thing that could be asked is the metrics listener, which is an option.  Where it is
# on, let the orchestrator look at /metrics, and alert on vpcflow_newest_object_time_seconds.
ARG PYTHON=3.13.9-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# What changes seldom comes first.  Everything that is downloaded is checked against its hash.
COPY requirements.lock deploy/requirements-build.lock ./
RUN python -m venv --without-pip /opt/vpcflow-exporter \
 && python -m pip --python /opt/vpcflow-exporter/bin/python install --require-hashes --only-binary :all: -r requirements.lock \
 && python -m pip install --require-hashes --only-binary :all: -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY mappings mappings
RUN python -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /dist . \
 && python -m pip --python /opt/vpcflow-exporter/bin/python install --no-index --no-deps /dist/*.whl

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="vpcflow-exporter" \
      org.opencontainers.image.description="VPC flow logs from S3, enriched at both ends from EC2, as ECS documents in Elasticsearch" \
      org.opencontainers.image.licenses="Apache-2.0"
# The state's folder belongs to the user, so that a fresh volume does too.
RUN install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/vpcflow-exporter \
 && install --directory /etc/vpcflow-exporter
COPY --from=build /opt/vpcflow-exporter /opt/vpcflow-exporter
# Nothing is written outside the state's folder, so the root may be mounted read-only, without a /tmp.
ENV PATH=/opt/vpcflow-exporter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_FOLDER=/var/lib/vpcflow-exporter
USER 10001:10001
WORKDIR /var/lib/vpcflow-exporter
VOLUME ["/var/lib/vpcflow-exporter"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["vpcflow-exporter"]
CMD ["run", "--config", "/etc/vpcflow-exporter/config.yaml"]
