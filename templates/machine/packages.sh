packages={{ packages | join(" ") | quote }}

command -v apt-get > /dev/null || fail "apt-get is not installed: install $packages by hand"

{% include "machine/apt.sh" %}

busy
configure_rest
# shellcheck disable=SC2086 # a list of words
fetched() { get "$said/install" 600 install --download-only --no-install-recommends $packages; }
# A source that is not needed may be broken: what counts is whether the packages can be had afterwards.
fetched || { get "$said/update" 180 update || :; fetched; } || {
    busy
    cat "$said"/* >&2 || :
    fail "apt can't fetch $packages: $(cause)"
}
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=30 $packages < /dev/null || { busy; fail "apt can't install $packages"; }
