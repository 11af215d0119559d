"""TLS on the connections of the data plane."""
