"""A browser without JavaScript, which reads pages and submits their forms."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from tests.harness.waiting import eventually


class Form:
    """A form of a page."""

    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method
        self.fields: dict[str, str] = {}
        self.buttons: list[tuple[str, str]] = []


class PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self._open: Form | None = None
        self._select: str | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag in ("script", "style", "title"):
            self._silent += 1
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "form":
            self._open = Form(values.get("action", ""), values.get("method", "get").lower())
            self.forms.append(self._open)
        elif self._open is not None:
            self._field(tag, values)

    def _field(self, tag: str, value: dict[str, str]) -> None:
        assert self._open is not None
        name = value.get("name", "")
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in value or self._select not in self._open.fields:
                self._open.fields[self._select] = value.get("value", "")
        elif tag == "button" and name:
            self._open.buttons.append((name, value.get("value", "")))
        elif tag in ("input", "textarea") and name:
            kind = value.get("type", "text")
            if kind not in ("radio", "checkbox") or "checked" in value:
                self._open.fields[name] = value.get("value", "on" if kind == "checkbox" else "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "title"):
            self._silent -= 1
        if tag == "form":
            self._open = None
        if tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)


class Page:
    """A response, as a user sees it."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.url = response.url
        self.path = urlsplit(response.url).path
        reader = PageReader()
        if "html" in response.headers.get("Content-Type", ""):
            reader.feed(response.text)
        self.forms, self.links = reader.forms, reader.links
        self.text = " ".join(" ".join(reader.text).split())

    def form(self, action: str, **values: str) -> Form:
        """Return the form that posts to a path and already contains these values."""
        for form in self.forms:
            here = urlsplit(urljoin(self.url, form.action)).path == action
            if here and all(_offers(form, *pair) for pair in values.items()):
                return form
        raise AssertionError(f"no form to {action} with {values} on {self.url}: {self.text[:400]}")


def _offers(form: Form, name: str, value: str) -> bool:
    return form.fields.get(name) == value or (name, value) in form.buttons


class Visitor:
    """A visitor with their own browser."""

    def __init__(self, base: str, sandbox: str = "") -> None:
        self.base, self.sandbox = base, sandbox
        self.home = base  # the mailbox is shared: only emails that link here are for this test
        self.browser = requests.Session()
        self.page: Page

    @property
    def cookie(self) -> str:
        """Return the value of the session cookie."""
        return str(self.browser.cookies.get_dict()["session"])

    def close(self) -> None:
        self.browser.close()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request without following redirects."""
        options.setdefault("allow_redirects", False)
        return self.browser.request(method, urljoin(self.base, path), timeout=30, **options)

    def visit(self, path: str) -> Page:
        self.page = Page(self.browser.get(urljoin(self.base, path), timeout=30))
        return self.page

    def submit(
        self,
        action: str,
        *,
        having: dict[str, str] | None = None,
        follow: bool = True,
        **values: str,
    ) -> Page:
        """Fill in the form of this page that posts to `action`, and submit it."""
        form = self.page.form(action, **(having or {}))
        url = urljoin(self.page.url, form.action)
        data = {**form.fields, **(having or {}), **values}
        self.page = Page(
            self.browser.request(
                form.method,
                url,
                timeout=30,
                allow_redirects=follow,
                headers={"Origin": "{0.scheme}://{0.netloc}".format(urlsplit(self.page.url))},
                **({"data": data} if form.method == "post" else {"params": data}),
            )
        )
        return self.page

    def emails_to(self, email: str) -> list[dict[str, Any]]:
        response = self.browser.get(f"{self.sandbox}/mail.json", params={"to": email}, timeout=30)
        return [
            mail
            for mail in response.json()["messages"]
            if email in str(mail["to"]) and self.home in mail["text"]
        ]

    def link_from_email(self, email: str) -> str:
        """Return the path of the newest magic link to this user."""

        def links() -> list[str]:
            all_links = (link for message in self.emails_to(email) for link in message["links"])
            return [link for link in all_links if "/auth/link/" in link]

        return eventually(links)[0]

    def sign_in(self, email: str, start: str = "/login") -> Page:
        """Sign in: request an email, open its link and press the button."""
        self.visit(start)
        self.submit("/login", email=email)
        assert self.page.path == "/auth/check-inbox", self.page.text
        link = self.link_from_email(email)
        self.visit(link)
        return self.submit(urlsplit(link).path)
