output pki "$(tar -cf - -C {{ path.pki }} {{ archive.pki | join(" ") }} | base64 -w 0)"
