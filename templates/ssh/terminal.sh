# shellcheck shell=sh
# For a sudo that wants a terminal (requiretty): one is made for it, and the three streams go around it, byte for byte. A terminal
# from sshd would mix both outputs and change what passes. $0 is the loader, $1 the command that becomes root and runs it.
# Of the same kind as loader.sh: one line that every login shell reads alike. PATH is as in sudo.sh.
PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH; LC_ALL=C; LOADER=$0; SHELL=/bin/sh; export PATH LC_ALL LOADER SHELL; exec 3<&0 4>&1 5>&2; exec script -qec "$1" /dev/null </dev/null >/dev/null
