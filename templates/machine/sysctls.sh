take {{ file.path | quote }} {{ file.mode }} {{ file.size }} {{ file.sha256 }}
# Keys may be missing (in a container, or before a module is loaded): the check below names those that matter.
sysctl -q -e -p {{ file.path | quote }} || true
while IFS='= ' read -r key value; do
    case $key in '' | '#'*) continue ;; esac
    now=$(sysctl -n -e "$key")
    [ -z "$now" ] || [ "$now" = "$value" ] || fail "$key is $now and can't be set to $value"
done < {{ file.path | quote }}
