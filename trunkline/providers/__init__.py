"""Model providers: where requests may go, how each protocol lists its models, what changes them."""
