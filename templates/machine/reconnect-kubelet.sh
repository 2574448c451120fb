# While the API server is away, kubelet asks it less and less often, in the end once a minute; until it asks again, it starts and ends no pods.
# Those that run keep running.
systemctl restart {{ systemd.kubelet }} || not_started {{ systemd.kubelet }}
