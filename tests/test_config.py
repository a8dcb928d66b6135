"""Settings are a pure function of the environment, and all errors are reported at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from saas import config
from saas.config import ConfigError, environment
from tests.harness.production import PRODUCTION, SECRET, SIGNING
from tests.harness.sample_product import product as sample_product


def from_env(env: dict[str, str]) -> dict[str, Any]:
    """Return the settings of the sample product."""
    return config.from_env(env, sample_product)


def problems(env: dict[str, str]) -> dict[str, list[str]]:
    with pytest.raises(ConfigError) as caught:
        from_env(env)
    return caught.value.problems


def test_a_development_app_needs_a_secret_and_nothing_else() -> None:
    settings = from_env({"SECRET_KEY": SECRET})

    assert settings["SAAS_ENV"] == "development"
    assert settings["DATABASE_URL"] == "sqlite:///app.db"
    assert settings["STRIPE_API_BASE"] == "http://localhost:5001/stripe"


def test_nothing_secret_has_a_default() -> None:
    message = problems({})

    assert list(message) == ["SECRET_KEY"]
    assert "make run" in message["SECRET_KEY"][0]


def test_a_complete_production_is_accepted() -> None:
    settings = from_env(PRODUCTION)

    assert settings["SESSION_COOKIE_NAME"] == "__Host-session"
    assert settings["SESSION_COOKIE_SECURE"] is True
    assert settings["STRIPE_PRICES"]["solo", "monthly"] == ("price_new", "price_old")
    assert settings["STRIPE_WEBHOOK_SECRETS"] == (f"whsec_{SIGNING}", f"whsec_{SIGNING}2")
    assert settings["STRIPE_API_BASE"] == "https://api.stripe.com"
    assert settings["JOBS_URL"] == "postgresql://u:p@db/app"


def test_all_invalid_variables_are_named_at_once_without_their_values() -> None:
    env = {
        "SAAS_ENV": "prod",
        "APP_URL": "ftp://hidden-value",
        "SECRET_KEY": "hidden-value",
        "DATABASE_URL": "mysql://hidden-value",
        "STRIPE_API_KEY": "hidden-value",
        "STRIPE_SOLO_MONTHLY_PRICE_ID": "prod_hidden-value",
        "PAST_DUE_GRACE_DAYS": "hidden-value",
        "TRUSTED_PROXIES": "99",
    }

    with pytest.raises(ConfigError) as caught:
        from_env(env)

    assert set(caught.value.problems) == set(env)
    assert "hidden-value" not in str(caught.value)
    assert "must start with price_" in str(caught.value)


def test_malformed_variables_do_not_hide_missing_ones() -> None:
    message = problems(
        {
            **PRODUCTION,
            "APP_URL": "http://app.example.com",
            "SECRET_KEY": "short",
            "SECRET_KEY_FALLBACKS": "shorter",
            "STRIPE_API_KEY": "pk_live_published",
            "STRIPE_WEBHOOK_SECRET": "",
            "GITHUB_CLIENT_ID": "half",
            "SANDBOX_URL": "http://localhost:5001",
            "EMAIL_FROM": "",
            "SMTP_URL": "mail.example.com",
        }
    )

    assert set(message) == {
        "APP_URL", "SECRET_KEY", "SECRET_KEY_FALLBACKS", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET",
        "GITHUB_CLIENT_SECRET", "SANDBOX_URL", "EMAIL_FROM", "SMTP_URL",
    }  # fmt: skip
    assert message["SECRET_KEY"] == ["must have at least 32 characters."]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("http://LocalHost:7300", "http://localhost:7300"),
        ("HTTPS://App.Example.com/", "https://app.example.com"),
        ("https://app.example.com.:443/", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_app_url_is_normalized_to_the_origin_that_browsers_send(value: str, sent: str) -> None:
    assert from_env({"SECRET_KEY": SECRET, "APP_URL": value})["APP_URL"] == sent


@pytest.mark.parametrize(
    ("value", "sender"),
    [
        ({"EMAIL_FROM": "hello@münchen.de"}, "hello@xn--mnchen-3ya.de"),
        ({"EMAIL_FROM": "Acme <hello@example.com>"}, "Acme <hello@example.com>"),
        (
            {"EMAIL_FROM": '"Acme, Inc." <hello@example.com>'},
            '"Acme, Inc." <hello@example.com>',
        ),
    ],
)
def test_the_sender_is_exactly_one_email(value: dict[str, str], sender: str) -> None:
    assert from_env({"SECRET_KEY": SECRET, **value})["EMAIL_FROM"] == sender


@pytest.mark.parametrize(
    ("name", "sender"),
    [
        ("Acme, Inc.", '"Acme, Inc." <hello@localhost>'),
        ('The "Best" 🚀', '"The \\"Best\\" 🚀" <hello@localhost>'),
        ("A <b@evil.example>", '"A <b@evil.example>" <hello@localhost>'),
    ],
)
def test_without_a_sender_emails_come_from_the_brand(name: str, sender: str) -> None:
    brand = dataclasses.replace(sample_product.brand, name=name)
    product = dataclasses.replace(sample_product, brand=brand)

    assert config.from_env({"SECRET_KEY": SECRET}, product)["EMAIL_FROM"] == sender


def test_a_brand_name_in_the_environment_is_reported_as_ineffective() -> None:
    with pytest.warns(UserWarning, match="APP_NAME is no longer read"):
        settings = from_env({"SECRET_KEY": SECRET, "APP_NAME": "Other"})

    assert settings["APP_NAME"] == "Acme"


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_FALLBACKS"])
def test_a_secret_that_is_not_random_is_refused(name: str) -> None:
    assert list(problems({**PRODUCTION, name: "secret" * 8})) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_URL", "http://[::1"),
        ("APP_URL", "http://ex ample:99999x?q"),
        ("APP_URL", "https://app.example.com:port"),
        ("APP_URL", "https://app.example.com/path"),
        ("APP_URL", "https://ann@app.example.com"),
        ("SANDBOX_URL", "http://localhost:5001?x=1"),
        ("DATABASE_URL", "postgresql://u:p@h:abc/d"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite://"),
        ("SMTP_URL", "smtp://[x"),
        ("SMTP_URL", "smtp://u:p@h:abc"),
        ("APP_URL", "https://app..example.com"),
        ("APP_URL", "https://.example.com"),
        ("APP_URL", f"https://{'a' * 64}.example.com"),
        ("APP_URL", "https://-app.example.com"),
        ("APP_URL", "https://1.2.3.999"),
        ("APP_URL", "https://xn--a.example.com"),
        ("SMTP_URL", "smtp://mail..example.com"),
        ("SMTP_URL", "smtp://."),
        ("SMTP_URL", f"smtp://{'a' * 64}.example.com"),
        ("EMAIL_FROM", "A\u2028B <hello@example.com>"),
        ("EMAIL_FROM", "A\x0bB <hello@example.com>"),
        ("SECRET_KEY", SECRET + "\udcff"),
        ("EMAIL_FROM", "\udcff"),
        ("DATABASE_URL", "sqlite+aiosqlite:///app.db"),
        ("DATABASE_URL", "postgresql+psycopg2://u:p@h/d"),
        ("REDIS_URL", "redis://localhost?socket_timeout=abc"),
        ("JOBS_URL", "redis://localhost?socket_timeout=abc"),
        ("JOBS_URL", "sqlite:///:memory:"),
        ("SANDBOX_URL", "http://localhost:5000/"),
        ("STRIPE_API_KEY", "sk_live_"),
        ("STRIPE_API_KEY", "sk_live_abc,sk_live_def"),
        ("STRIPE_PORTAL_CONFIGURATION_ID", "bpc_a,bpc_b"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_a;whsec_b"),
        ("OG_FONTS", "/nonexistent"),
        ("DATABASE_URL", "sqlite:///file::memory:?uri=true"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_…"),
        ("STRIPE_PORTAL_CONFIGURATION_ID", "bpc_…"),
        ("STRIPE_SOLO_MONTHLY_PRICE_ID", "price_…"),
        ("EMAIL_FROM", "not an address"),
        ("EMAIL_FROM", "hällo@example.com"),
        ("EMAIL_FROM", "Acme, Inc. <hello@example.com>"),
        ("EMAIL_FROM", "a@example.com, b@example.com"),
        ("SMTP_URL", "smtp://mail.example.com:99999"),
        ("REDIS_URL", "redis://localhost:99999"),
        ("JOBS_URL", "redis://localhost:port"),
        ("STRIPE_API_KEY", "sk_test_\u200bpasted"),
        ("RESEND_API_KEY", "re_one two"),
        ("STRIPE_AUTOMATIC_TAX", "ja"),
    ],
)
def test_a_malformed_value_is_named(name: str, value: str) -> None:
    assert list(problems({"SECRET_KEY": SECRET, name: value})) == [name]


def test_invisible_characters_around_a_value_are_removed() -> None:
    settings = from_env({"SECRET_KEY": SECRET, "APP_URL": "\ufeffhttp://localhost:8000 "})

    assert settings["APP_URL"] == "http://localhost:8000"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUESTS_CA_BUNDLE", "/nonexistent"),
        ("SECRET_KEY", "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"),
        ("STRIPE_PAGES", "https://pay.example.com#"),
    ],
)
def test_settings_that_cannot_work_in_production_are_named(name: str, value: str) -> None:
    assert list(problems({**PRODUCTION, name: value})) == [name]


def test_a_host_that_is_an_ip_is_trusted_as_browsers_send_it() -> None:
    settings = from_env({**PRODUCTION, "APP_URL": "https://[2001:DB8:0:0:0:0:0:1]"})

    assert settings["APP_URL"] == "https://[2001:db8::1]"
    assert settings["TRUSTED_HOSTS"] == ["[2001:db8::1]"]


def test_the_process_environment_overrides_files_which_are_optional(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / ".env").write_text("SECRET_KEY=made\nEMAIL_FROM=made\nAPP_URL=made\n")
    (tmp_path / ".env").write_text("EMAIL_FROM=own\nAPP_URL=own\n")
    monkeypatch.setenv("APP_URL", "process")

    monkeypatch.delenv("FLASK_SKIP_DOTENV", raising=False)
    result = environment(tmp_path)
    monkeypatch.setenv("FLASK_SKIP_DOTENV", "1")
    alone = environment(tmp_path)

    assert [result[name] for name in ("SECRET_KEY", "EMAIL_FROM", "APP_URL")] == [
        "made", "own", "process",
    ]  # fmt: skip
    assert alone["APP_URL"] == "process"
    assert "SECRET_KEY" not in alone


def test_a_file_that_is_not_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASK_SKIP_DOTENV")
    (tmp_path / ".env").write_bytes(b"SECRET_KEY=\xff\xfe")

    with pytest.raises(ConfigError) as caught:
        environment(tmp_path)

    assert caught.value.problems == {".env": ["is not a text file in UTF-8."]}


def test_missing_production_settings_are_named() -> None:
    message = problems({"SAAS_ENV": "production", "SECRET_KEY": "a" * 40, "TRUSTED_PROXIES": "1"})

    assert set(message) == {
        "APP_URL",
        "DATABASE_URL",
        "EMAIL_FROM",
        "SECRET_KEY",
        "SMTP_URL",
        "STRIPE_API_KEY",
    }


@pytest.mark.parametrize(
    ("change", "at_fault"),
    [
        ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET"),
        ({"STRIPE_SOLO_YEARLY_PRICE_ID": ""}, "STRIPE_SOLO_YEARLY_PRICE_ID"),
        ({"STRIPE_SOLO_YEARLY_PRICE_ID": "price_old"}, "STRIPE_SOLO_YEARLY_PRICE_ID"),
        ({"SANDBOX_URL": "http://localhost:5001"}, "SANDBOX_URL"),
        ({"APP_URL": "http://app.example.com"}, "APP_URL"),
        ({"JOBS_URL": "inline:"}, "JOBS_URL"),
        ({"RESEND_API_KEY": "re_1"}, "SMTP_URL"),
        ({"STRIPE_API_KEY": "", "SANDBOX_STRIPE_API_KEY": "sk_test_x"}, "STRIPE_API_KEY"),
    ],
)
def test_an_incomplete_service_is_refused(change: dict[str, str], at_fault: str) -> None:
    assert at_fault in problems({**PRODUCTION, **change})


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"STRIPE_API_KEY": "sk_test_abc"}, "STRIPE_API_KEY is a test key"),
        ({"TRUSTED_PROXIES": "0"}, "TRUSTED_PROXIES is 0. Behind a proxy, all clients then share"),
    ],
)
def test_doubtful_production_settings_are_warnings(change: dict[str, str], doubt: str) -> None:
    with pytest.warns(UserWarning, match=doubt):
        from_env({**PRODUCTION, **change})


def test_a_real_stripe_key_replaces_only_the_sandbox_s_stripe() -> None:
    sandbox = {
        "SECRET_KEY": SECRET,
        "SANDBOX_STRIPE_API_KEY": "sk_test_sandbox",
        "SANDBOX_STRIPE_WEBHOOK_SECRET": "whsec_sandbox",
        "SANDBOX_STRIPE_SOLO_MONTHLY_PRICE_ID": "price_sandbox",
    }
    real = {name: value for name, value in PRODUCTION.items() if name.startswith("STRIPE_")}

    assert from_env(sandbox)["STRIPE_API_KEY"] == "sk_test_sandbox"
    both = from_env({**sandbox, **real})

    assert both["STRIPE_API_KEY"] == "sk_live_abc"
    assert both["STRIPE_API_BASE"] == "https://api.stripe.com"
    assert "price_sandbox" not in str(both["STRIPE_PRICES"])
    assert both["SANDBOX_URL"] == "http://localhost:5001"  # the sandbox still provides the mailbox


def test_an_incomplete_provider_is_refused() -> None:
    for value, missing in (("ID", "SECRET"), ("SECRET", "ID")):
        for provider in ("GOOGLE", "GITHUB"):
            message = problems({**PRODUCTION, f"{provider}_CLIENT_{value}": "x"})

            assert list(message) == [f"{provider}_CLIENT_{missing}"]


def test_production_has_the_providers_that_have_keys_and_no_others() -> None:
    keys = {"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "secret"}

    assert from_env(PRODUCTION)["SIGN_IN_PROVIDERS"] == {}
    assert list(from_env({**PRODUCTION, **keys})["SIGN_IN_PROVIDERS"]) == ["github"]


def test_real_keys_of_a_provider_replace_only_that_provider_of_the_sandbox() -> None:
    keys = {"GOOGLE_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": "secret", "SECRET_KEY": SECRET}

    providers = from_env(keys)["SIGN_IN_PROVIDERS"]

    assert providers["google"]["issuer"] == "https://accounts.google.com"
    assert providers["github"]["issuer"] == "http://localhost:5001/identity/github"


@pytest.mark.parametrize(
    "secret",
    ["whsec_", f"whsec_{SIGNING},whsec_", ",", "whsec_x", "whsec_...", f"whsec_{28 * '0'}"],
)
def test_a_publicly_known_webhook_secret_is_refused(secret: str) -> None:
    assert "STRIPE_WEBHOOK_SECRET" in problems({**PRODUCTION, "STRIPE_WEBHOOK_SECRET": secret})


@pytest.mark.parametrize(
    "pages",
    [
        "http://pay.example.com", "pay.example.com", "https://pay.example.com/buy", "https://*.x.y",
        "https://pay.example.com; script-src *", "https://pay.example.com https://b.example.com",
    ],
)  # fmt: skip
def test_stripe_pages_that_are_not_origins_are_refused(pages: str) -> None:
    assert "STRIPE_PAGES" in problems({**PRODUCTION, "STRIPE_PAGES": pages})


def test_stripe_pages_are_stored_as_browsers_send_them() -> None:
    value = "https://Pay.Example.com/, https://b.example.com:443"

    settings = from_env({**PRODUCTION, "STRIPE_PAGES": value})

    assert settings["STRIPE_PAGES"] == ("https://pay.example.com", "https://b.example.com")
