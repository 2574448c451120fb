remember verified {{ sha256 }}
