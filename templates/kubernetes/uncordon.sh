kubectl uncordon {{ node | quote }} > /dev/null
