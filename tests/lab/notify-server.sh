# shellcheck shell=bash
# A server for notifications at 10.77.0.1:8095 in the lab's network, and what came there. Sourced once the lab is up, by scripts that have sourced
# rows.sh.
# shellcheck disable=SC2154 # work and hostler are rows.sh's

# A line for each request: method, path, title, text. What is in $work/answer is the status of its answers.
cat > "$work/server.py" << 'PYTHON'
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status = int(open(sys.argv[2]).read())
        with open(sys.argv[1], "a") as log:
            log.write("%d %s %s | %s | %s\n" % (status, self.command, self.path, self.headers.get("Title"), text.replace("\n", " / ")))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_GET = do_POST
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("10.77.0.1", 8095), Handler).serve_forever()
PYTHON
echo 200 > "$work/answer"
touch "$work/requests"
"$hostler" lab exec -- python3 "$work/server.py" "$work/requests" "$work/answer" &
# got COUNT TEXT: so many messages with this text were accepted; got_some TEXT: at least one.
count() { grep "^200 POST /s3cret-topic" "$work/requests" | grep -cF -- "$1" || true; }
got() { [ "$(count "$2")" = "$1" ] || { echo "$(count "$2") of: $2" >&2; cat "$work/requests" >&2; return 1; }; }
got_some() { [ "$(count "$1")" != 0 ]; }
beats() { grep -c "^200 GET /s3cret-heart" "$work/requests" || true; }
# look MACHINE: as its timer does, which may be at it just now.
look() { on "$1" 'systemctl start hostler-notify.service' 2> /dev/null || true; }
