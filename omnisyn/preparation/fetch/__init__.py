"""A published dataset comes from its archive on the network: found, downloaded, unpacked."""
