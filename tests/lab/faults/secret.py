"""The secrets of a campaign's clusters, and whether hostler told one."""

import base64
import re


class Secrets:
    """Pieces of private keys, and tokens, that nothing public shares; learned on the control planes, searched for in what hostler said."""

    def __init__(self):
        self.known = {}

    def learn(self, lab):
        for machine in lab.control_planes:
            if machine.init() is None:
                continue
            root = machine.root()
            for path in [*root.glob("etc/kubernetes/pki/**/*.key"), *root.glob("etc/kubernetes/*.conf")]:
                text = path.read_text(encoding="utf-8", errors="replace")
                for found in re.findall(r"client-key-data: (\S+)", text):
                    text = base64.b64decode(found + "==").decode(errors="replace")
                lines = [line for line in text.splitlines() if line and not line.startswith("-----")]
                if "PRIVATE KEY" in text and lines:
                    # RSA's begins with the modulus, an EC key ends with its point.
                    self.known[lines[len(lines) // 2] if len(lines) > 10 else lines[0][12:52]] = f"a key of {path.name}"
            for path in root.glob("var/lib/etcd/member/**/*"):
                if path.is_file():
                    for token in re.findall(rb"token-secret\x12\x10([a-z0-9]{16})", path.read_bytes()):
                        self.known[token.decode()] = "a bootstrap token"

    def told(self, verbs):
        """Which secret is in what the verbs showed or logged, as text or as base64 of it."""
        found = set()
        for verb in verbs:
            text = verb.text.decode(errors="replace") + verb.log
            for secret, name in self.known.items():
                if secret in text or base64.b64encode(secret.encode()).decode().rstrip("=")[:-1] in text:
                    found.add(f"{name} (hostler {verb.words[0]})")
        return sorted(found)
