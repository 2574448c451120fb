# The first line of the payload is the token; only its first half, which is no secret, is needed to delete it.
IFS= read -r token
local_kubeadm token delete "${token%%.*}" > /dev/null || temporary "the API server to answer"
