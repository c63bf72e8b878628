#!/usr/bin/env python3
"""test/peers/pykmip_server.py -- Run PyKMIP's server in a directory.

    PYTHON pykmip_server.py DIR PORT

DIR holds server.pem, server.key and ca.pem; keys are kept there in keys.db. PYTHON is what
test/peers/pykmip --where prints.
"""
import os
import sys

from kmip.services.server import KmipServer


def main():
    directory, port = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    policies = os.path.join(directory, "policies")
    os.makedirs(policies, exist_ok=True)
    server = KmipServer(
        hostname="127.0.0.1",
        port=port,
        certificate_path=os.path.join(directory, "server.pem"),
        key_path=os.path.join(directory, "server.key"),
        ca_path=os.path.join(directory, "ca.pem"),
        auth_suite="TLS1.2",
        config_path=None,
        log_path=os.path.join(directory, "server.log"),
        policy_path=policies,
        enable_tls_client_auth=True,
        logging_level="INFO",
        database_path=os.path.join(directory, "keys.db"),
    )
    with server:
        server.serve()


if __name__ == "__main__":
    main()
