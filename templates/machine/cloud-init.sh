take {{ file.path | quote }} {{ file.mode }} {{ file.size }} {{ file.sha256 }}
