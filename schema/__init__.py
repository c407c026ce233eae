"""The GraphQL vocabulary: types, inputs, scalars and the three roots. Knows no HTTP and no SQL."""
