"""The four protocols as a provider speaks them: requests, answers, streams, lists, errors.

Sources: platform.openai.com/docs/api-reference, platform.claude.com/docs/en/api,
ai.google.dev/api, docs.ollama.com/api.
"""
