"""Views of the public pages."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Response, current_app, render_template, request
from flask_login import current_user

from saas import openapi, plans, products, security, static_files
from saas.billing.forms import CheckoutForm
from saas.site import bp, page_cache
from saas.static_files import static


@bp.get("/")
def home() -> Response:
    return page_cache.cached_page(partial(render_template, "site/home.html"), "home")


@bp.get("/pricing")
def pricing() -> Response:
    own = current_user.interval if current_user.is_authenticated else None
    wanted_interval = request.args.get("interval", own)
    sold = products.catalogue().intervals or plans.INTERVALS[:1]
    interval = wanted_interval if wanted_interval in sold else sold[0]
    plan_id = request.args.get("plan")
    highlight = plan_id if plan_id in products.catalogue().by_id else None
    return page_cache.cached_page(
        partial(_pricing, interval, highlight), "pricing", interval, highlight
    )


def _pricing(interval: str, highlight: str | None) -> str:
    return render_template(
        "site/pricing.html",
        plans=products.catalogue().plans,
        comparison=_comparison(),
        questions=products.current().questions,
        interval=interval,
        intervals=products.catalogue().intervals,
        highlight=highlight,
        saving=_saving(),
        form=CheckoutForm(formdata=None) if page_cache.has_session() else None,
    )


def _comparison() -> list[dict[str, Any]]:
    """Return the plan comparison, one row per feature."""
    sold, access_plan = products.catalogue().plans, products.catalogue().access_plan
    return [
        {"label": row.label, "values": {plan.id: row.value(access_plan(plan)) for plan in sold}}
        for row in products.current().comparison
    ]


def _saving() -> int:
    """Return the smallest yearly saving of all plans in percent, rounded down."""
    return min(
        (
            plan.yearly_saving * 100 // (plan.monthly * 12)
            for plan in products.catalogue().for_sale
            if plan.monthly and plan.yearly
        ),
        default=0,
    )


@bp.get("/terms")
def terms() -> Response:
    return page_cache.cached_page(partial(render_template, "site/terms.html"), "terms")


@bp.get("/privacy")
def privacy() -> Response:
    return page_cache.cached_page(partial(render_template, "site/privacy.html"), "privacy")


@bp.get("/robots.txt")
def robots() -> Response:
    lines = ["User-agent: *", "Disallow: /dashboard", "Disallow: /auth/", "Disallow: /billing/"]
    lines.append(f"Sitemap: {security.public_url('site.sitemap')}")
    return _cached("\n".join(lines) + "\n", "text/plain")


@bp.get("/sitemap.xml")
def sitemap() -> Response:
    public = ("site.home", "site.pricing", "site.terms", "site.privacy", "auth.login")
    places = "".join(f"<url><loc>{security.public_url(name)}</loc></url>" for name in public)
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return _cached(f'{head}<urlset xmlns="{space}">{places}</urlset>', "application/xml")


@bp.get("/site.webmanifest")
def manifest() -> Response:
    name = current_app.config["APP_NAME"]
    icon = {"src": static("icons/icon.svg"), "sizes": "any"}
    about = {
        "name": name,
        "short_name": name,
        "start_url": "/",
        "display": "browser",
        "icons": [{**icon, "type": "image/svg+xml"}],
    }
    return _cached(current_app.json.dumps(about), "application/manifest+json")


@bp.get("/api/openapi.json")
def api_document() -> Response:
    """Serve the OpenAPI document, which is the same for all clients until a restart."""
    app = current_app
    extensions: dict[str, Any] = app.extensions
    if "openapi" not in extensions:
        extensions["openapi"] = openapi.document(app, app.config["APP_NAME"], app.config["APP_URL"])
    return _cached(app.json.dumps(extensions["openapi"]), "application/json")


@bp.get("/favicon.ico")
def favicon() -> Response:
    return static_files.send("icons/favicon.ico")


def _cached(body: str, mimetype: str) -> Response:
    response = Response(body, mimetype=mimetype)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response
