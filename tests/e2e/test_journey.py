"""End to end: from a fresh clone to a paying customer, in a browser."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Route, expect

from product import product
from saas.template_filters import money
from tests.e2e.conftest import RunningProject
from tests.e2e.steps import PLAN, accessible, choose, link_for, pay, sign_in

pytestmark = pytest.mark.browser


def test_from_the_landing_page_to_a_paying_customer_and_account_deletion(
    page: Page, running: RunningProject
) -> None:
    problems: list[str] = []
    page.on("console", lambda entry: problems.append(entry.text) if entry.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    requested: set[str] = set()
    page.on("request", lambda request: requested.add(request.url))

    choose_a_plan_and_sign_in(page, running, "buyer@example.com")
    subscribe(page, running)
    cancel_in_the_portal(page)
    delete_the_account(page, running, "buyer@example.com")

    assert problems == []
    own = (running.url, running.sandbox, "data:")
    assert {url for url in requested if not url.startswith(own)} == set()


def choose_a_plan_and_sign_in(page: Page, running: RunningProject, email: str) -> None:
    page.goto(running.url)
    accessible(page)
    page.get_by_role("link", name="Pricing").first.click()
    if len(product.catalogue.intervals) > 1:
        page.get_by_role("link", name=re.compile("Yearly")).click()
        accessible(page)
    choose(page, "link")
    expect(page).to_have_url(re.compile("/login"))
    accessible(page)
    sign_in(page, running, email)
    expect(page).to_have_url(re.compile(rf"/pricing\?.*plan={PLAN.id}"))


def subscribe(page: Page, running: RunningProject) -> None:
    choose(page, "button")
    expect(page).to_have_url(re.compile(r"/stripe/checkout/cs_test_"))
    accessible(page)
    pay(page)
    expect(page).to_have_url(f"{running.url}/dashboard/billing")
    expect(page.get_by_text(f"You're now on {PLAN.name}")).to_be_visible()
    price = money(PLAN.yearly or PLAN.monthly or 0, product.catalogue.currency)
    expect(page.get_by_text(price).first).to_be_visible()
    accessible(page)


def cancel_in_the_portal(page: Page) -> None:
    page.get_by_role("button", name="Manage subscription").click()
    expect(page).to_have_url(re.compile(r"/stripe/portal/"))
    accessible(page)
    page.get_by_role("link", name="Cancel plan").click()
    page.get_by_role("button", name="Cancel now").click()
    page.get_by_role("link", name=re.compile("Return|Back")).first.click()
    expect(page.get_by_text("ended").first).to_be_visible()


def delete_the_account(page: Page, running: RunningProject, email: str) -> None:
    page.goto(f"{running.url}/dashboard/settings")
    accessible(page)
    page.get_by_label(re.compile("Type your email")).fill(email)
    page.get_by_role("button", name=re.compile("delete", re.I)).last.click()
    expect(page.get_by_text("Your account was deleted")).to_be_visible()


def test_the_journey_needs_no_javascript_and_fits_a_phone(
    plain: BrowserContext, running: RunningProject
) -> None:
    page = plain.new_page()
    page.goto(f"{running.url}/pricing")
    choose(page, "link")
    sign_in(page, running, "phone@example.com")
    choose(page, "button")
    pay(page)
    expect(page.get_by_text(f"You're now on {PLAN.name}")).to_be_visible()
    page.get_by_role("button", name="Manage subscription").click()
    expect(page).to_have_url(re.compile(r"/stripe/portal/"))


@pytest.mark.parametrize("width", [360, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(page: Page, running: RunningProject, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal, by the list
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("/", "/pricing", "/login", "/register", "/terms", "/privacy", "/nowhere"):
        page.goto(running.url + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} px wide at {width}"


def test_the_browser_allows_form_redirects_to_checkout_only(
    page: Page, running: RunningProject
) -> None:
    """The browser enforces form-action: it blocks the same form sent to another site."""
    page.goto(f"{running.url}/login")
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text))
    page.evaluate(
        """() => {
            const form = document.querySelector('form[action="/login"]');
            form.action = 'http://127.0.0.1:9/elsewhere';
            form.noValidate = true;
            form.submit();
        }"""
    )
    for _ in range(100):
        if blocked:
            break
        page.wait_for_timeout(50)

    assert any("form-action" in message for message in blocked)
    assert page.url.startswith(f"{running.url}/login")


def test_the_link_in_the_email_opens_a_page_with_a_sign_in_button(
    page: Page, running: RunningProject
) -> None:
    page.goto(f"{running.url}/login")
    page.get_by_label("Email address").fill("reader@example.com")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/auth/check-inbox"))
    link_for(page, running, "reader@example.com")
    page.goto(f"{running.sandbox}/mail")
    page.get_by_role("link", name=re.compile("Sign in to")).first.click()
    page.frame_locator("iframe").get_by_role("link", name=re.compile("Sign in")).first.click()

    page.get_by_role("button", name=re.compile("sign in|create", re.I)).first.click()
    expect(page).to_have_url(f"{running.url}/dashboard")


def test_a_double_click_signs_in_once_on_a_slow_network(
    page: Page, running: RunningProject
) -> None:
    """The link works once, so without care the second click would show an error."""
    email = "double@example.com"
    page.route(
        "**/*",
        lambda route: route.continue_() if route.request.method == "GET" else later(page, route),
    )
    page.goto(f"{running.url}/login")
    page.get_by_label("Email address").fill(email)
    click_twice(page, "mail|link|continue")
    expect(page).to_have_url(re.compile("/auth/check-inbox"))
    page.goto(link_for(page, running, email))

    click_twice(page, "sign in|create")

    expect(page).to_have_url(re.compile("/dashboard"))
    mails = page.request.get(f"{running.sandbox}/mail.json?to={email}").json()["messages"]
    assert len(mails) == 1


def later(page: Page, route: Route) -> None:
    """Send the request at once, and deliver the response a little later."""
    response = route.fetch(max_redirects=0)
    page.wait_for_timeout(300)
    with suppress(Error):  # the browser dropped this request for another one
        route.fulfill(response=response)


def click_twice(page: Page, words: str) -> None:
    """Click twice like a user, without waiting for the first click's effect."""
    box = page.get_by_role("button", name=re.compile(words, re.I)).first.bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, delay=60)


def test_sign_in_works_with_the_keyboard_alone(page: Page, running: RunningProject) -> None:
    page.goto(f"{running.url}/login")
    page.get_by_label("Email address").focus()
    page.keyboard.type("keys@example.com")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/auth/check-inbox"))
    page.goto(link_for(page, running, "keys@example.com"))
    page.get_by_role("button", name=re.compile("sign in|create", re.I)).first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{running.url}/dashboard")


def test_the_start_prints_its_urls_and_the_checks_pass(running: RunningProject) -> None:
    message = "".join(running.lines)

    assert f"Open     {running.url}" in message
    assert f"{running.sandbox}/mail" in message
    assert "Traceback" not in message
    checked = running.flask("check")
    assert checked.stdout == "No problems found.\n", checked.stderr
    assert (running.folder / "instance" / "app.db").exists()


def test_the_demo_users_have_their_plans(running: RunningProject) -> None:
    listed = running.flask("users", "list").stdout

    for plan in product.catalogue.for_sale:
        assert re.search(rf"{plan.id}@example\.com +user +{re.escape(plan.name)} +active", listed)
    free = re.escape(product.catalogue.free.name)
    assert re.search(rf"admin@example\.com +admin +{free}", listed)
    assert running.flask("seed").returncode == 0  # a second run adds nothing
    assert running.flask("users", "list").stdout == listed
