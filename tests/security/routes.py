"""Access to every route: its response to an anonymous visitor, a user and an administrator.

Every route needs a line here; otherwise `test_authorization` names it and fails. The requests
contain only a valid CSRF token: 422 is the response to an empty form, 404 to an unknown id, and
LOGIN the redirect of an anonymous visitor to the sign-in page.
"""

from __future__ import annotations

LOGIN = "303 /login"
CONFIRM = "303 /auth/confirm"

ANYBODY = (200, 200, 200)
MEMBERS = (LOGIN, 200, 200)
ADMINS = (LOGIN, 404, 200)

# (anonymous, user, admin); a redirect is written with its target.
ROUTES: dict[str, tuple[int | str, int | str, int | str]] = {
    # public pages
    "GET /": ANYBODY,
    "GET /pricing": ANYBODY,
    "GET /terms": ANYBODY,
    "GET /privacy": ANYBODY,
    "GET /robots.txt": ANYBODY,
    "GET /sitemap.xml": ANYBODY,
    "GET /site.webmanifest": ANYBODY,
    "GET /favicon.ico": ANYBODY,
    "GET /brand.css": ANYBODY,
    "GET /healthz": ANYBODY,
    "GET /readyz": ANYBODY,
    "GET /static/<path:filename>": (404, 404, 404),
    "GET /api/og": (400, 400, 400),
    # sign-in
    "GET /login": (200, "303 /dashboard", "303 /dashboard"),
    "POST /login": (422, "303 /dashboard", "303 /dashboard"),
    "GET /register": (200, "303 /dashboard", "303 /dashboard"),
    "POST /register": (422, "303 /dashboard", "303 /dashboard"),
    "GET /auth/check-inbox": (LOGIN, LOGIN, LOGIN),
    "POST /auth/code": (LOGIN, LOGIN, LOGIN),
    "POST /auth/resend": (LOGIN, LOGIN, LOGIN),
    "GET /auth/link/<token>": (404, 404, 404),
    "POST /auth/link/<token>": (404, 404, 404),
    "GET /auth/confirm": (LOGIN, "303 /dashboard", "303 /dashboard"),
    "POST /auth/confirm": (LOGIN, "303 /dashboard", "303 /dashboard"),
    "POST /auth/oauth/<provider>": (404, 404, 404),  # an unknown provider
    "GET /auth/oauth/<provider>/callback": (404, 404, 404),
    "POST /auth/passkey/options": (415, 415, 415),  # JSON only
    "POST /auth/passkey": (415, 415, 415),
    "POST /logout": (LOGIN, "303 /", "303 /"),
    # the user's own account
    "GET /dashboard": MEMBERS,
    "GET /dashboard/settings": MEMBERS,
    "POST /dashboard/settings/name": (LOGIN, 422, 422),
    "POST /dashboard/settings/sessions/<uuid:session_id>/revoke": (LOGIN, 404, 404),
    "POST /dashboard/settings/sessions/revoke-others": (
        LOGIN, "303 /dashboard/settings", "303 /dashboard/settings",
    ),
    "POST /dashboard/settings/identities/<provider>/link": (LOGIN, 404, 404),
    "POST /dashboard/settings/identities/<uuid:identity_id>/unlink": (LOGIN, 404, 404),
    "GET /dashboard/settings/passkeys/new": MEMBERS,
    "POST /dashboard/settings/passkeys/options": (LOGIN, 200, 200),
    "POST /dashboard/settings/passkeys": (LOGIN, 415, 415),
    "POST /dashboard/settings/passkeys/<uuid:passkey_id>/name": (
        LOGIN, "303 /dashboard/settings", "303 /dashboard/settings",
    ),
    "POST /dashboard/settings/passkeys/<uuid:passkey_id>/remove": (LOGIN, 404, 404),
    "POST /dashboard/settings/email": (LOGIN, 422, 422),
    "GET /auth/email/<token>": (LOGIN, 404, 404),
    "POST /auth/email/<token>": (LOGIN, 404, 404),
    "GET /auth/email/undo/<token>": (404, 404, 404),
    "POST /auth/email/undo/<token>": (404, 404, 404),
    "GET /dashboard/settings/export": MEMBERS,
    "POST /dashboard/settings/role": (LOGIN, 403, 422),
    "POST /dashboard/settings/delete": (LOGIN, 422, 422),
    "GET /dashboard/settings/tokens": MEMBERS,
    "POST /dashboard/settings/tokens": (LOGIN, 422, 422),
    "POST /dashboard/settings/tokens/<uuid:token_id>/revoke": (LOGIN, 404, 404),
    "GET /api/openapi.json": ANYBODY,
    "GET /api/user": (401, 200, 200),
    "DELETE /api/user": (401, 200, 409),  # the only administrator keeps the role
    # administrators
    "GET /admin": ADMINS,
    "POST /admin/refresh": (LOGIN, 404, "303 /admin"),
    "GET /admin/figures.csv": ADMINS,
    "GET /admin/users": ADMINS,
    "GET /admin/users.csv": ADMINS,
    "GET /admin/users/<uuid:user_id>": (LOGIN, 404, 404),
    "GET /admin/users/<uuid:user_id>/<action>": (LOGIN, 404, 404),
    "POST /admin/users/<uuid:user_id>/<action>": (LOGIN, 404, 404),
    "GET /admin/events": ADMINS,
    "GET /admin/events.csv": ADMINS,
    "POST /admin/events/replay": (LOGIN, 404, "303 /admin/events"),
    "GET /admin/emails": ADMINS,
    "GET /admin/emails.csv": ADMINS,
    "POST /admin/emails/<uuid:message_id>/send": (LOGIN, 404, 404),
    "GET /admin/audit": ADMINS,
    "GET /admin/audit.csv": ADMINS,
    "POST /admin/view-as/stop": (LOGIN, "303 /dashboard", "303 /dashboard"),
    # billing
    "GET /dashboard/billing": MEMBERS,
    "GET /dashboard/billing/invoices": MEMBERS,
    "GET /dashboard/billing/receipts/<session_id>": (LOGIN, 404, 404),
    "POST /billing/checkout": (LOGIN, "303 /pricing", "303 /pricing"),
    "POST /billing/resume": (LOGIN, "303 /dashboard/billing", "303 /dashboard/billing"),
    "POST /billing/portal": (LOGIN, "303 /dashboard/billing", "303 /dashboard/billing"),
    "GET /billing/return": (LOGIN, "303 /dashboard/billing", "303 /dashboard/billing"),
    "POST /api/webhooks/stripe": (400, 400, 400),
    # the product
    "GET /dashboard/reports": (LOGIN, 403, 403),  # requires a plan
    "POST /dashboard/reports": (LOGIN, 403, 403),
    "GET /api/reports": (401, 401, 401),  # API tokens only
    "POST /api/reports": (401, 401, 401),
}  # fmt: skip
