# Lines are what comes over the connection.
# shellcheck disable=SC2154 # snapshot.sh names it
base64 < "$archive"
