#!/bin/sh
# Written by hostler, for keepalived: does this machine's own API server answer? Its certificate is not the question here.
exec curl --silent --fail --insecure --max-time 2 --output /dev/null https://127.0.0.1:{{ port.api }}/livez
