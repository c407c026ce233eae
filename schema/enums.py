"""The names on the wire of the enumerations that rows carry.

`strawberry.enum` marks the domain's own class, so fields are annotated with that class. It has to
happen before any field is declared, so `schema/fields.py` imports this module, and
`gateway_enums.py` and `audit_enums.py`.
"""

from enum import Enum

import strawberry

from db.vocabulary import (
    AccessScope,
    BudgetAction,
    BudgetPeriod,
    BudgetScopeKind,
    ChangeKind,
    ConnectionTestStatus,
    ModelCapability,
    ModelSort,
    ModelSource,
    PriceSource,
    ProviderKind,
    ProviderStatus,
    SignInMethod,
    UsageDimension,
    UsageGranularity,
    UsageGroupKind,
    UsageMetric,
    UsagePeriod,
    WebhookDeliveryStatus,
)
from trunkline.errors import ProblemCode


def enum_type(
    domain: type[Enum], *, description: str, values: dict[str, str], name: str | None = None
) -> None:
    """Name a domain enumeration on the wire. `values` describes each of its members."""
    named = strawberry.enum(domain, name=name or domain.__name__, description=description)
    definition = named.__strawberry_definition__  # type: ignore[attr-defined]  # set by strawberry.enum
    if {value.name for value in definition.values} != set(values):
        raise ValueError(f"every value of {domain.__name__} wants a description")
    for value in definition.values:
        value.description = values[value.name]


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

enum_type(
    ProblemCode,
    name="UserErrorCode",
    description="What kind of thing the caller has to put right.",
    values={
        "INVALID": "The value can't be taken as it is; the message says what can.",
        "TAKEN": "Another object has this name already.",
        "NOT_FOUND": "Nothing has this id or name.",
        "VERSION_CONFLICT": "It changed since `expectedVersion`; the payload holds what stands.",
        "DUPLICATE": "The same thing is named twice in this input.",
        "KEY_REUSED": "The idempotency key names an event with other contents.",
        "IN_USE": "Something else depends on it; the payload says what.",
        "TOO_FEW": "The list is shorter than it may be.",
        "TOO_MANY": "The list is longer than it may be.",
        "UPSTREAM_FAILED": "The provider did not do its part; the connection test says why.",
    },
)

enum_type(
    ModelCapability,
    description="What a model can take or do beyond text.",
    values={
        "TOOLS": "Calls tools.",
        "VISION": "Takes images.",
        "AUDIO": "Takes or gives audio.",
        "PDF": "Takes PDF files.",
        "REASONING": "Thinks before it answers, in reasoning tokens.",
        "STRUCTURED_OUTPUT": "Answers in a JSON schema.",
        "PROMPT_CACHING": "Charges less for a prompt's part that it has seen.",
        "EMBEDDINGS": "Makes embeddings.",
    },
)

enum_type(
    ModelSource,
    description="Where the knowledge of a model came from.",
    values={
        "CATALOG": "The price data that ships with Trunkline.",
        "DISCOVERED": "The provider's own list, or recorded usage.",
        "CUSTOM": "An operator added it.",
    },
)

enum_type(
    PriceSource,
    description="Where a price came from.",
    values={
        "CATALOG": "The price data that ships with Trunkline.",
        "OVERRIDE": "An operator set it.",
        "FREE": "It runs on your own machines.",
    },
)

enum_type(
    ModelSort,
    description="The order of a list of models; what is unknown comes last.",
    values={
        "NAME": "By name.",
        "CONTEXT_WINDOW_DESC": "The largest context window first.",
        "INPUT_PRICE_ASC": "The cheapest input first.",
        "OUTPUT_PRICE_ASC": "The cheapest output first.",
    },
)

enum_type(
    UsagePeriod,
    description="A time that ends with the bucket that holds the present.",
    values={
        "TODAY": "The local day.",
        "LAST_7_DAYS": "Seven local days, today the last.",
        "LAST_30_DAYS": "Thirty local days, today the last.",
        "MONTH_TO_DATE": "The local calendar month, as an invoice counts.",
    },
)

enum_type(
    UsageDimension,
    description="What usage is grouped by.",
    values={
        "PROVIDER": "Who was asked.",
        "MODEL": "What was asked.",
        "AGENT": "Who asked, by the name that it reports.",
        "FAILOVER_CHAIN": "Which chain the request ran through.",
    },
)

enum_type(
    UsageGranularity,
    description="How long a point is.",
    values={
        "QUARTER_HOUR": "15 minutes.",
        "HOUR": "A local hour.",
        "DAY": "A local day: 23, 24 or 25 hours.",
    },
)

enum_type(
    UsageMetric,
    description="What the largest groups are the largest by.",
    values={
        "COST": "US dollars.",
        "TOKENS": "Input and output together.",
        "REQUESTS": "Attempts.",
    },
)

enum_type(
    UsageGroupKind,
    description="What a group stands for.",
    values={
        "OBJECT": "A provider, model or chain: `subject`, while it exists.",
        "AGENT": "An agent, by the name that it reports.",
        "NONE": "Usage with no agent, or no chain.",
        "OTHER": "The sum of the groups beyond `topGroups`.",
    },
)

enum_type(
    BudgetScopeKind,
    description="Whose spending a budget counts.",
    values={
        "ALL": "Everything.",
        "PROVIDER": "Requests to one provider.",
        "MODEL": "Requests to one model.",
        "AGENT": "Requests of one agent, by the name that it reports.",
        "FAILOVER_CHAIN": "Requests through one chain.",
    },
)

enum_type(
    BudgetPeriod,
    description="How long a budget counts before it begins again.",
    values={
        "DAY": "A local day.",
        "WEEK": "A local week, from Monday on.",
        "CALENDAR_MONTH": "A local calendar month, as an invoice counts.",
    },
)

enum_type(
    BudgetAction,
    description="What happens once a budget is spent.",
    values={
        "ALERT": "Nothing but alerts.",
        "BLOCK": "The gateway refuses further requests until the period ends.",
    },
)

enum_type(
    WebhookDeliveryStatus,
    description="How far a delivery to a webhook is.",
    values={
        "PENDING": "Not there yet: it is tried, and tried again.",
        "DELIVERED": "The receiver took it.",
        "FAILED": "Given up.",
    },
)

enum_type(
    AccessScope,
    description="What an access token may be used for.",
    values={
        "ADMIN": "Everything, and access tokens themselves.",
        "CONFIGURE": "Changing providers, models, chains and budgets. It includes READ.",
        "READ": "Reading and watching, the export of usage, and the schema.",
        "INGEST": "Reporting usage: `recordUsage` and the import.",
        "GATEWAY": "Asking models through the gateway: everything below `/v1/`. With READ also "
        "`runFailoverChain`.",
    },
)

enum_type(
    SignInMethod,
    description="What a browser showed to begin its session.",
    values={
        "SIGN_IN_LINK": "A link that `trunkline serve` or `trunkline sign-in-link` printed.",
        "ADMIN_TOKEN": "The admin token.",
        "ACCESS_TOKEN": "An access token.",
    },
)
