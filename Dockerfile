# One image for web server, worker and migrations (compose.yaml, docs/deploy.md). It runs with a
# read-only root file system and a tmpfs at /tmp.
FROM python:3.13-slim AS build
WORKDIR /app
COPY . .
RUN deploy/build /app

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin saas
WORKDIR /app
COPY --from=build /app /app
# FLASK_SKIP_DOTENV: settings come from the environment alone. METRICS_HOST: Prometheus runs in
# another container; nothing listens unless METRICS_PORT is set.
ENV PATH="/app/.venv/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    FLASK_APP=wsgi \
    FLASK_SKIP_DOTENV=1 \
    SAAS_ENV=production \
    PORT=8000 \
    METRICS_HOST=0.0.0.0
# By number, so that Kubernetes sees that it is not root.
USER 10001
EXPOSE 8000
# For the web server. Disable it for the worker, which listens nowhere.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s \
    CMD ["python", "deploy/container/healthcheck.py"]
# The web line of the Procfile. The worker: flask --app wsgi worker
CMD ["gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
