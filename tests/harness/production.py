"""Complete settings of production, with invented secrets."""

from __future__ import annotations

SECRET = "a-long-enough-secret-of-40-characters-0123"


SIGNING = "0123456789abcdefghijklmnopqrstuv"


PRODUCTION = {
    "SAAS_ENV": "production",
    "APP_URL": "https://app.example.com",
    "SECRET_KEY": SECRET,
    "DATABASE_URL": "postgresql://u:p@db/app",
    "STRIPE_API_KEY": "sk_live_abc",
    "STRIPE_WEBHOOK_SECRET": f"whsec_{SIGNING},whsec_{SIGNING}2",
    "STRIPE_SOLO_MONTHLY_PRICE_ID": "price_new,price_old",
    "STRIPE_SOLO_YEARLY_PRICE_ID": "price_2",
    "STRIPE_TEAM_MONTHLY_PRICE_ID": "price_3",
    "STRIPE_TEAM_YEARLY_PRICE_ID": "price_4",
    "STRIPE_AGENCY_YEARLY_PRICE_ID": "price_5",
    "SMTP_URL": "smtps://user:pass@mail.example.com",
    "EMAIL_FROM": "App <hello@example.com>",
    "TRUSTED_PROXIES": "1",
}
