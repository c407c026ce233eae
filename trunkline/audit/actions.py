"""What the audit log calls the changes of configuration: the API's mutation where there is one."""

from typing import Literal, get_args

Action = Literal[
    "createProvider",
    "updateProvider",
    "removeProviderApiKey",
    "deleteProvider",
    "syncModels",
    "createModel",
    "updateModel",
    "deleteModel",
    "createFailoverChain",
    "updateFailoverChain",
    "reorderFailoverChain",
    "deleteFailoverChain",
    "createBudget",
    "updateBudget",
    "rotateBudgetWebhookSecret",
    "deleteBudget",
    "createAccessToken",
    "rotateAccessToken",
    "revokeAccessToken",
    # These are Trunkline's own.
    "seedProviders",
    "refreshCatalog",
    "rotateSecrets",
    "disableBudgetWebhook",
]

ACTIONS: tuple[str, ...] = get_args(Action)
"""Every one of them. One that is given up stays here: entries of it remain."""
