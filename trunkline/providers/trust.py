"""Whose certificates are trusted: the system's, or those that the environment names instead."""

import ssl
from collections.abc import Mapping
from pathlib import Path


class BadTrustSetting(ValueError):
    """A variable names no certificates. The message names it."""


def trusted_certificates(environment: Mapping[str, str]) -> ssl.SSLContext | None:
    """What connections are checked with; None for what the system trusts.

    SSL_CERT_FILE, or else REQUESTS_CA_BUNDLE, names a file of certificates in PEM, or a directory
    as `openssl rehash` leaves it. These are trusted then, and no others, but for what SSL_CERT_DIR
    names. Raises `BadTrustSetting`.
    """
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        named = environment.get(variable)
        if not named:
            continue
        is_directory = Path(named).is_dir()
        try:
            context = ssl.create_default_context(
                cafile=None if is_directory else named,
                capath=named if is_directory else environment.get("SSL_CERT_DIR") or None,
            )
        except FileNotFoundError as error:
            raise BadTrustSetting(f"{variable} names a file that isn't there: {named}") from error
        except (ssl.SSLError, OSError) as error:
            raise BadTrustSetting(
                f"{variable} names a file without certificates in PEM that can be read: {named}"
            ) from error
        context.set_alpn_protocols(("http/1.1",))
        return context
    return None
