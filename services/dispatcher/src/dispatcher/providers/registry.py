"""Which providers there are for each channel: adding one is its file and a line here.

`LEADFLOW_{CHANNEL}_VIA` chooses; what the chosen one needs to know is read at start, so that
a setting that is missing names itself then and not with the first message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dispatcher.providers.api_email import EmailApiAccount
from dispatcher.providers.base import Account
from dispatcher.providers.http_api import HttpApiAccount
from dispatcher.providers.resend import ResendAccount
from dispatcher.providers.smtp import SmtpAccount
from dispatcher.providers.twilio import TwilioAccount
from dispatcher.providers.webhook import WebhookAccount
from leadflow.settings import Environment

Reader = Callable[[Environment, str], Account]

# The first of a channel is the one that is used where nothing was chosen.
PROVIDERS: Mapping[str, Mapping[str, Reader]] = MappingProxyType(
    {
        "email": {
            "api": EmailApiAccount.read,
            "smtp": SmtpAccount.read,
            "resend": ResendAccount.read,
            "webhook": WebhookAccount.read,
        },
        "sms": {
            "api": HttpApiAccount.read,
            "twilio": TwilioAccount.read,
            "webhook": WebhookAccount.read,
        },
        "whatsapp": {
            "api": HttpApiAccount.read,
            "twilio": TwilioAccount.read,
            "webhook": WebhookAccount.read,
        },
    }
)


def accounts(env: Environment) -> Mapping[str, Account]:
    """The provider of each channel. Raises SettingError."""
    chosen = {}
    for channel, ways in PROVIDERS.items():
        names = tuple(ways)
        chosen[channel] = ways[env.choice(f"{channel.upper()}_VIA", names, names[0])](env, channel)
    return MappingProxyType(chosen)
