#!/bin/sh
# Written by hostler, for keepalived: does this machine's own API server answer? The certificate is not checked.
exec curl --silent --fail --insecure --max-time 2 --output /dev/null https://127.0.0.1:{{ port.api }}/livez
