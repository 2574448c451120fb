remember {{ recorded.verified }} {{ sha256 }}
