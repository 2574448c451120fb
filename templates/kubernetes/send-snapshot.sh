# Lines are what comes over the connection.
base64 < "$archive"
