"""The words that rows are made of: enumerations shared by every layer above.

They live in the lowest layer because rows carry them; `schema/` gives them their GraphQL names and
descriptions. Values are what is stored, so a value is never renamed without a migration.
"""

from enum import StrEnum


class ProviderKind(StrEnum):
    """The protocol that a provider speaks."""

    ANTHROPIC = "ANTHROPIC"
    OPENAI = "OPENAI"
    GOOGLE = "GOOGLE"
    OLLAMA = "OLLAMA"
    OPENAI_COMPATIBLE = "OPENAI_COMPATIBLE"


class ProviderStatus(StrEnum):
    """What is known of a provider's health; derived, never stored."""

    UNCONFIGURED = "UNCONFIGURED"
    UNTESTED = "UNTESTED"
    CONNECTED = "CONNECTED"
    DEGRADED = "DEGRADED"
    FAILING = "FAILING"
    DISABLED = "DISABLED"


class ConnectionTestStatus(StrEnum):
    """How a connection test ended."""

    OK = "OK"
    MISSING_KEY = "MISSING_KEY"
    INVALID_KEY = "INVALID_KEY"
    FORBIDDEN = "FORBIDDEN"
    NO_CREDIT = "NO_CREDIT"
    RATE_LIMITED = "RATE_LIMITED"
    TIMEOUT = "TIMEOUT"
    UNREACHABLE = "UNREACHABLE"
    TLS_ERROR = "TLS_ERROR"
    INVALID_URL = "INVALID_URL"
    UPSTREAM_ERROR = "UPSTREAM_ERROR"
    UNEXPECTED_RESPONSE = "UNEXPECTED_RESPONSE"


class ModelCapability(StrEnum):
    """What a model can do beyond text. The order is the bit order in the store: append only."""

    TOOLS = "TOOLS"
    VISION = "VISION"
    AUDIO = "AUDIO"
    PDF = "PDF"
    REASONING = "REASONING"
    STRUCTURED_OUTPUT = "STRUCTURED_OUTPUT"
    PROMPT_CACHING = "PROMPT_CACHING"
    EMBEDDINGS = "EMBEDDINGS"


class ModelSource(StrEnum):
    """Where the knowledge of a model came from."""

    CATALOG = "CATALOG"
    DISCOVERED = "DISCOVERED"
    CUSTOM = "CUSTOM"


class PriceSource(StrEnum):
    """Where a model's price came from."""

    CATALOG = "CATALOG"
    OVERRIDE = "OVERRIDE"
    FREE = "FREE"


class ModelSort(StrEnum):
    """Orders of a list of models; unknown values come last, ties by name, then wire name."""

    NAME = "NAME"
    CONTEXT_WINDOW_DESC = "CONTEXT_WINDOW_DESC"
    INPUT_PRICE_ASC = "INPUT_PRICE_ASC"
    OUTPUT_PRICE_ASC = "OUTPUT_PRICE_ASC"


class UsageDimension(StrEnum):
    """What a usage series is grouped by."""

    PROVIDER = "PROVIDER"
    MODEL = "MODEL"
    AGENT = "AGENT"
    FAILOVER_CHAIN = "FAILOVER_CHAIN"


class UsagePeriod(StrEnum):
    """A window that ends with the bucket that holds the present."""

    TODAY = "TODAY"
    LAST_7_DAYS = "LAST_7_DAYS"
    LAST_30_DAYS = "LAST_30_DAYS"
    MONTH_TO_DATE = "MONTH_TO_DATE"


class UsageGranularity(StrEnum):
    """The length of a bucket; a day is a local day."""

    QUARTER_HOUR = "QUARTER_HOUR"
    HOUR = "HOUR"
    DAY = "DAY"


class UsageMetric(StrEnum):
    """What groups are ranked by."""

    COST = "COST"
    TOKENS = "TOKENS"
    REQUESTS = "REQUESTS"


class UsageGroupKind(StrEnum):
    """What a group of a usage series stands for."""

    OBJECT = "OBJECT"
    AGENT = "AGENT"
    NONE = "NONE"
    OTHER = "OTHER"


class ChangeKind(StrEnum):
    """What happened to an object."""

    READY = "READY"
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


class BudgetScopeKind(StrEnum):
    """Whose spending a budget counts."""

    ALL = "ALL"
    PROVIDER = "PROVIDER"
    MODEL = "MODEL"
    AGENT = "AGENT"
    FAILOVER_CHAIN = "FAILOVER_CHAIN"


class BudgetPeriod(StrEnum):
    """How long a budget counts before it begins again, in its zone."""

    DAY = "DAY"
    WEEK = "WEEK"
    CALENDAR_MONTH = "CALENDAR_MONTH"


class BudgetAction(StrEnum):
    """What happens once a budget is used up."""

    ALERT = "ALERT"
    BLOCK = "BLOCK"


class WebhookDeliveryStatus(StrEnum):
    """How far the delivery of an alert to a webhook is."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class Delivery(StrEnum):
    """When a caller gets what an attempt gives."""

    STREAMED = "STREAMED"
    """As it comes."""
    ASSURED = "ASSURED"
    """When it is whole."""


class GatewayEndpoint(StrEnum):
    """Where a request to the gateway came in."""

    CHAT_COMPLETIONS = "CHAT_COMPLETIONS"
    MESSAGES = "MESSAGES"
    EMBEDDINGS = "EMBEDDINGS"
    RUN_FAILOVER_CHAIN = "RUN_FAILOVER_CHAIN"


class GatewayOutcome(StrEnum):
    """How a request to the gateway ended."""

    ANSWERED = "ANSWERED"
    """With a whole answer."""
    REFUSED = "REFUSED"
    """A provider, or a budget, refused the request for what it is."""
    FAILED = "FAILED"
    """No step answered."""
    CUT = "CUT"
    """The answer broke off when the caller had a part of it."""
    CANCELLED = "CANCELLED"
    """The caller left."""


class AttemptOutcome(StrEnum):
    """Why a step of a chain gave no answer: the classes of failure, and the reasons to skip one."""

    TRANSIENT = "TRANSIENT"
    RATE_LIMITED = "RATE_LIMITED"
    TIMEOUT = "TIMEOUT"
    TOO_LONG = "TOO_LONG"
    UNAVAILABLE = "UNAVAILABLE"
    REJECTED = "REJECTED"
    INVALID = "INVALID"
    DISABLED = "DISABLED"
    NO_API_KEY = "NO_API_KEY"
    OPEN = "OPEN"
    TOO_SMALL = "TOO_SMALL"
    UNSUPPORTED = "UNSUPPORTED"
    BUSY = "BUSY"
    OVER_BUDGET = "OVER_BUDGET"


class AccessScope(StrEnum):
    """What an access token may be used for. ADMIN includes the others, and CONFIGURE includes READ,
    as every change answers with what it changed.
    """

    ADMIN = "ADMIN"
    CONFIGURE = "CONFIGURE"
    READ = "READ"
    INGEST = "INGEST"
    GATEWAY = "GATEWAY"


class SignInMethod(StrEnum):
    """What a browser showed to begin its session."""

    SIGN_IN_LINK = "SIGN_IN_LINK"
    ADMIN_TOKEN = "ADMIN_TOKEN"  # noqa: S105  # a name
    ACCESS_TOKEN = "ACCESS_TOKEN"  # noqa: S105  # a name


class AuditActorKind(StrEnum):
    """Who changes configuration."""

    ADMIN = "ADMIN"
    ACCESS_TOKEN = "ACCESS_TOKEN"  # noqa: S105  # a kind
    COMMAND_LINE = "COMMAND_LINE"
    SYSTEM = "SYSTEM"


class AuditObjectKind(StrEnum):
    """What an entry of the audit log is about."""

    PROVIDER = "PROVIDER"
    MODEL = "MODEL"
    FAILOVER_CHAIN = "FAILOVER_CHAIN"
    BUDGET = "BUDGET"
    ACCESS_TOKEN = "ACCESS_TOKEN"  # noqa: S105  # a kind
    CATALOG = "CATALOG"
    SECRET_KEYS = "SECRET_KEYS"  # noqa: S105  # a kind
