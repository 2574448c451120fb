# kubelet's files as kubeadm wrote them: what anyone changes in them later is noticed.
record {{ recorded.kubelet_file }} "$(sha256sum < {{ path.kubelet_config }} | cut -d ' ' -f 1)"
record {{ recorded.kubelet_flags }} "$(cat {{ path.kubelet_flags }})"
