"""Links that tell of a click and a picture that tells of an opening, for one message.

The addresses are sealed (`leadflow.tokens`): nobody can guess one, or make one that leads
elsewhere. The portal opens them (`portal_api.api.tracking`).
"""

from __future__ import annotations

from dataclasses import dataclass

from leadflow.tokens import Sealer
from rendering.sanitizing import rewrite_links


@dataclass(frozen=True, slots=True)
class Links:
    """`public_url` is the portal's address."""

    public_url: str
    links: Sealer
    tenant_id: str
    message_id: str

    def with_clicks(self, html: str, *, never: str) -> str:
        """Sanitized HTML whose links lead over the portal, but for the address `never`: who wants
        to leave is not watched at it, and one click has to do."""

        def rewrite(url: str) -> str:
            if url == never:
                return url
            token = self.links.seal("click", self.tenant_id, self.message_id, url)
            return f"{self.public_url}/c/{token}"

        return rewrite_links(html, rewrite)

    def with_pixel(self, html: str) -> str:
        """The HTML and a picture of one pixel that nobody sees."""
        token = self.links.seal("open", self.tenant_id, self.message_id)
        address = f"{self.public_url}/o/{token}.gif"
        return f'{html}<img src="{address}" width="1" height="1" alt="">\n'
