"""The page at ``/``, one file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Page:
    """The page and its content security policy."""

    html: str
    policy: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the page is sent with."""
        return {
            "Content-Security-Policy": self.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }


@functools.cache
def page() -> Page:
    """The page, and a policy by which browsers run its own script and styles alone."""
    html = (files("nas_peft.serving") / "page.html").read_text(encoding="utf-8")
    script, style = (_digests(html, tag) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html, policy)


def _digests(html: str, tag: str) -> str:
    """The SHA-256 of each element ``tag``, as policies name them."""
    contents = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in contents]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
