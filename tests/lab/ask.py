#!/usr/bin/env python3
"""ask.py END API SERVICE...: asks the URL API and, in turn, the URLs SERVICE ten times a second each, until the file END exists.

A request that is refused, reset or answered with an error, or not answered within 5 seconds, has failed. Each failed one of SERVICE is printed,
and at the end one line: `N requests, F failed; the API was unavailable for at most S s`.
"""

import concurrent.futures
import http.client
import itertools
import os
import ssl
import sys
import threading
import time
import urllib.request

EVERY = 0.1
FAILURES = (OSError, http.client.HTTPException)
LIMIT = 5
# Who asks looks for answers, not for who gives them: the API's certificate is nothing to the lab's own computer.
UNCHECKED = ssl._create_unverified_context()  # pylint: disable=protected-access


def ask(url):
    with urllib.request.urlopen(url, timeout=LIMIT, context=UNCHECKED) as answer:
        answer.read()


def api(url, end):
    """The longest time between two answers, in seconds. One request at a time: while the API is away, each ends by itself."""
    last, longest = time.monotonic(), 0.0
    while not os.path.exists(end):
        began = time.monotonic()
        try:
            ask(url)
        except FAILURES:
            pass
        else:
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        time.sleep(max(0.0, began + EVERY - time.monotonic()))
    return max(longest, time.monotonic() - last)


def service(urls, end):
    """How many requests there were, and how many of them failed."""
    failed, lock = 0, threading.Lock()

    def one(url):
        nonlocal failed
        began = time.monotonic()
        try:
            ask(url)
        except FAILURES as error:
            with lock:
                failed += 1
                print(f"{time.strftime('%H:%M:%S')}  {url}: {error} after {time.monotonic() - began:.1f} s", flush=True)

    count, due = 0, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        for url in itertools.cycle(urls):
            if os.path.exists(end):
                break
            pool.submit(one, url)
            count += 1
            due += EVERY
            time.sleep(max(0.0, due - time.monotonic()))
    return count, failed


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    end, url, *urls = sys.argv[1:]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        away = pool.submit(api, url, end)
        count, failed = service(urls, end)
        print(f"{count} requests, {failed} failed; the API was unavailable for at most {away.result():.1f} s")


main()
