"""Who opens mails and follows links without being the person: user agents and networks.

Data, with where each is published. An agent is compared in lower case. An entry costs rates a
few true opens (behind Gmail's proxy nobody can be told from a prefetch), a missing one counts
machines as people: when in doubt, an agent that no mail program or browser sends is a machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

# What a label says (MessageOpened.automated_reason).
AGENT = "agent"
MAIL_PRIVACY = "mail_privacy"
IMAGE_PROXY = "image_proxy"


@dataclass(frozen=True, slots=True)
class Agent:
    """A pattern that is looked for in the user agent, what it shows, and where that is said."""

    pattern: str
    reason: str
    source: str


# The whole agent is this text: no browser's ends there.
EXACT = {
    # https://www.mailgun.com/blog/product/bot-detection/: Apple Mail Privacy Protection.
    "mozilla/5.0": MAIL_PRIVACY,
    # https://bird.com/en-gb/blog/gmail-prefetching-images: Gmail before anything is shown.
    "mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) "
    "chrome/42.0.2311.135 safari/537.36 edge/12.246 mozilla/5.0": IMAGE_PROXY,
}

AGENTS = (
    Agent("googleimageproxy", IMAGE_PROXY, "https://developer.mozilla.org (via ggpht.com)"),
    Agent("yahoomailproxy", IMAGE_PROXY, "https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"),
    Agent("ymailproxy", IMAGE_PROXY, "https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"),
    # Security gateways that name themselves.
    Agent("barracuda", AGENT, "https://www.barracuda.com (Barracuda Sentinel, Link Protection)"),
    Agent("mimecast", AGENT, "https://www.mimecast.com (URL Protect)"),
    Agent("proofpoint", AGENT, "https://www.proofpoint.com (URL Defense)"),
    Agent("safelinks", AGENT, "https://learn.microsoft.com/defender-office-365/safe-links-about"),
    Agent("trend ?micro|trendmicro", AGENT, "https://www.trendmicro.com (Web Reputation)"),
    Agent("symantec|messagelabs", AGENT, "https://www.broadcom.com (Email Security.cloud)"),
    Agent("sophos", AGENT, "https://www.sophos.com (Time of Click)"),
    Agent("fireeye|trellix", AGENT, "https://www.trellix.com (Email Security)"),
    Agent("fortinet|fortigate|fortimail", AGENT, "https://www.fortinet.com (FortiMail)"),
    Agent("zscaler", AGENT, "https://www.zscaler.com"),
    Agent("cloudmark", AGENT, "https://www.proofpoint.com (Cloudmark)"),
    Agent("urlscan", AGENT, "https://urlscan.io"),
    Agent("virustotal", AGENT, "https://www.virustotal.com"),
    Agent("scanner", AGENT, "https://github.com/omrilotan/isbot"),
    # Previews of links in chats, and crawlers. A Cubot is a telephone.
    Agent("(?<!cu)bot(?![a-z])", AGENT, "https://github.com/omrilotan/isbot"),
    Agent("crawl|spider|slurp", AGENT, "https://github.com/omrilotan/isbot"),
    Agent("facebookexternalhit|meta-externalagent", AGENT, "https://developers.facebook.com"),
    Agent("bingpreview|microsoftpreview", AGENT, "https://www.bing.com/webmasters/help"),
    Agent("skypeuripreview", AGENT, "https://learn.microsoft.com/skype-sdk"),
    Agent("^whatsapp/", AGENT, "https://developers.facebook.com/docs/whatsapp/link-previews"),
    Agent("google-read-aloud|google-safety|feedfetcher", AGENT, "https://developers.google.com"),
    # Programs without a person.
    Agent("headless|phantomjs|selenium|puppeteer|playwright", AGENT, "https://github.com/omrilotan/isbot"),
    Agent("curl/|wget/|libwww|python|aiohttp|httpx|scrapy", AGENT, "https://github.com/omrilotan/isbot"),
    Agent("go-http-client|okhttp|java/|apache-httpclient", AGENT, "https://github.com/omrilotan/isbot"),
    Agent("axios/|node-fetch|undici|guzzle|ruby|perl|powershell", AGENT, "https://github.com/omrilotan/isbot"),
)  # fmt: skip
_COMPILED = tuple((re.compile(agent.pattern), agent.reason) for agent in AGENTS)

# Pictures that are loaded from here are loaded by the mail provider.
NETWORKS: tuple[tuple[IPv4Network | IPv6Network, str], ...] = (
    (ip_network("17.0.0.0/8"), MAIL_PRIVACY),  # ARIN: Apple Inc.
    (ip_network("66.249.64.0/19"), IMAGE_PROXY),  # ARIN: Google, the image proxy and crawlers
    (ip_network("66.102.0.0/20"), IMAGE_PROXY),  # ARIN: Google
)


def by_agent(user_agent: str | None) -> str | None:
    """What the agent is known for; None for a person's, and where there is none."""
    agent = (user_agent or "").strip().lower()
    if agent in EXACT:
        return EXACT[agent]
    return next((reason for pattern, reason in _COMPILED if pattern.search(agent)), None)


def by_network(ip: str | None) -> str | None:
    """What the network that asked for a picture is known for; None for others."""
    try:
        address = ip_address((ip or "").strip())
    except ValueError:
        return None
    return next((reason for network, reason in NETWORKS if address in network), None)
