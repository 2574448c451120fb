output ca "$(base64 -w 0 < {{ path.pki }}/ca.crt)"
