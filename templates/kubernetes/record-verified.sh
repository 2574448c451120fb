remember {{ name }} {{ sha256 }}
