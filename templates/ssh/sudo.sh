# shellcheck shell=sh
# Runs sudo for a login shell, whatever its PATH: the system's own folders come first, so that a program of that name among the user's files
# gets no password. Of the same kind as loader.sh: one line that every login shell reads alike. Its arguments are the command.
PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH; LC_ALL=C; export PATH LC_ALL; exec "$@"
