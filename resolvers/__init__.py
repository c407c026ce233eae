"""Use cases for fields: one async function per field that is more than an attribute."""
