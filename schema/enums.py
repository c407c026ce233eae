"""The names on the wire of the enumerations that rows carry.

`strawberry.enum` marks the domain's own class, so fields are annotated with that class. Those of
one slice are named in its own module; here are the ones that providers and changes share.
"""

from db.vocabulary import ChangeKind, ConnectionTestStatus, ProviderKind, ProviderStatus
from schema.scalars import enum_type

enum_type(
    ProviderKind,
    description="The protocol that a provider speaks.",
    values={
        "ANTHROPIC": "Anthropic's Messages API.",
        "OPENAI": "OpenAI's own API.",
        "GOOGLE": "Google's Gemini API.",
        "OLLAMA": "Ollama, on your own machines; needs no key and costs nothing.",
        "OPENAI_COMPATIBLE": "Anything that speaks OpenAI's protocol at a URL of yours.",
    },
)

enum_type(
    ProviderStatus,
    description="What is known of a provider's health.",
    values={
        "UNCONFIGURED": "No API key, though this kind needs one.",
        "UNTESTED": "Configured, never tested since its key or URL last changed.",
        "CONNECTED": "The last test or live request succeeded.",
        "DEGRADED": "Live requests partly fail.",
        "FAILING": "The last test failed, or every recent live request did.",
        "DISABLED": "Switched off by an operator.",
    },
)

enum_type(
    ConnectionTestStatus,
    description="How a connection test ended, by what the provider's answer says.",
    values={
        "OK": "The provider listed its models.",
        "MISSING_KEY": "This kind needs an API key and none is given; nothing was sent.",
        "INVALID_KEY": "The provider does not know the key.",
        "FORBIDDEN": "The key is known but may not list models.",
        "NO_CREDIT": "The account has no credit left, or reached its spending limit.",
        "RATE_LIMITED": "The provider asks to wait.",
        "TIMEOUT": "No complete answer within 10 seconds.",
        "UNREACHABLE": "No connection: the name is unknown, or nothing listens there.",
        "TLS_ERROR": "No trusted encrypted connection: a wrong, expired or unknown certificate.",
        "INVALID_URL": "The base URL is no place that requests may go to.",
        "UPSTREAM_ERROR": "The provider says that it has a fault of its own.",
        "UNEXPECTED_RESPONSE": "Something answered, but it is no list of models: a web page, say.",
    },
)

enum_type(
    ChangeKind,
    description="What happened to an object.",
    values={
        "READY": "Now listening: refetch what you hold, nothing after this is missed. Sent first.",
        "CREATED": "It is new.",
        "UPDATED": "It changed; the object shows how it stands now.",
        "DELETED": "It is gone; only its id is left.",
    },
)
