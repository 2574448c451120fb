#!/bin/sh
# Runs on the computer that makes a bundle: builds one part of it from Go modules (or C), in folder $HOSTLER_BUILD. Needs Go 1.26 and
# gcc. What was downloaded and built stays in Go's caches, so a build that was cut off goes on where it was.
#   build.sh PART VERSION     with kubernetes.go, coredns.go and pause.c beside this file
set -eu
part=$1 version=$2
here=$(cd "$(dirname "$0")" && pwd)
: "${HOSTLER_BUILD:?}"
export GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0

# module PACKAGE@VERSION...: a module that needs these packages, and nothing of its own.
module() {
	mkdir -p "$HOSTLER_BUILD/go/$part"
	cd "$HOSTLER_BUILD/go/$part"
	[ -f go.mod ] || go mod init "hostler.example/$part"
	go get -tool "$@"
}

# program NAME PACKAGE [LDFLAGS]: the name is there only when it is whole. Prints how far it is: first "# PACKAGE" for each package that is not
# in Go's cache yet (-n), then each package as it is built (-v).
program() {
	# What fails here fails again below, with Go's message.
	go build -n -trimpath -tags "${tags:-}" -ldflags "-s -w ${3:-}" -o "$HOSTLER_BUILD/.$1.part" "$2" 2>&1 |
		grep --line-buffered -E '^(go: downloading .*|# [^ ]+)$' || true
	go build -v -trimpath -tags "${tags:-}" -ldflags "-s -w ${3:-}" -o "$HOSTLER_BUILD/.$1.part" "$2"
	mv "$HOSTLER_BUILD/.$1.part" "$HOSTLER_BUILD/$1"
}

kubernetes() {
	minor=${version#1.} minor=${minor%%.*}
	staging="api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap code-generator
		component-base component-helpers controller-manager cri-api cri-client csi-translation-lib dynamic-resource-allocation
		endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics
		mount-utils pod-security-admission sample-apiserver sample-cli-plugin sample-controller"
	[ "$minor" -lt 36 ] || staging="$staging cri-streaming streaming"
	mkdir -p "$HOSTLER_BUILD/go/kubernetes-$version"
	cd "$HOSTLER_BUILD/go/kubernetes-$version"
	cp "$here/kubernetes.go" main.go
	{
		echo "module hostler.example/kubernetes"
		echo "go 1.26.0"
		echo "require k8s.io/kubernetes v$version"
		# Kubernetes' own repositories, which its go.mod has as v0.0.0.
		for repository in $staging; do echo "replace k8s.io/$repository => k8s.io/$repository v0.${version#1.}"; done
	} > go.mod
	go mod tidy
	# Without a version kubeadm takes itself for v0.0.0, and misbehaves.
	stamp=
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		stamp="$stamp -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
	done
	program "kubernetes-$version" . "$stamp"
}

etcd() {
	repository=go.etcd.io/etcd
	module "$repository/server/v3@v$version" "$repository/etcdctl/v3@v$version" "$repository/etcdutl/v3@v$version"
	program etcd "$repository/server/v3"
	program etcdctl "$repository/etcdctl/v3"
	program etcdutl "$repository/etcdutl/v3"
}

coredns() {
	mkdir -p "$HOSTLER_BUILD/go/coredns"
	cd "$HOSTLER_BUILD/go/coredns"
	cp "$here/coredns.go" main.go
	[ -f go.mod ] || go mod init hostler.example/coredns
	go mod edit -require="github.com/coredns/coredns@v$version"
	go mod tidy
	program coredns .
}

containerd() {
	repository=github.com/containerd/containerd/v2
	tags="no_btrfs no_zfs no_devmapper"
	module "$repository/cmd/containerd@v$version" "$repository/cmd/containerd-shim-runc-v2@v$version" "$repository/cmd/ctr@v$version"
	for name in containerd containerd-shim-runc-v2 ctr; do
		program "$name" "$repository/cmd/$name" "-X $repository/version.Version=v$version"
	done
}

crictl() {
	module "sigs.k8s.io/cri-tools/cmd/crictl@v$version"
	program crictl sigs.k8s.io/cri-tools/cmd/crictl "-X sigs.k8s.io/cri-tools/pkg/version.Version=v$version"
}

cni() {
	repository=github.com/containernetworking/plugins/plugins
	plugins="main/bridge main/loopback main/ptp meta/bandwidth meta/firewall meta/portmap meta/tuning ipam/host-local"
	packages=
	for plugin in $plugins; do packages="$packages $repository/$plugin@v$version"; done
	# shellcheck disable=SC2086 # a list
	module $packages
	for plugin in $plugins; do program "${plugin#*/}" "$repository/$plugin"; done
}

# The plugin that flannel is called through; 0.9.1 is the last release of that repository which had it.
cni_flannel() {
	module "github.com/containernetworking/plugins/plugins/meta/flannel@v$version"
	program flannel github.com/containernetworking/plugins/plugins/meta/flannel
}

# Without its backend for one cloud, whose module is not served by Go's proxy; its udp backend needs cgo.
flanneld() {
	fetched=$(cd "$HOSTLER_BUILD" && go mod download -json "github.com/flannel-io/flannel@v$version" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
	rm -rf "$HOSTLER_BUILD/go/flannel"
	mkdir -p "$HOSTLER_BUILD/go"
	cp -R "$fetched" "$HOSTLER_BUILD/go/flannel"
	cd "$HOSTLER_BUILD/go/flannel"
	chmod -R u+w .
	rm -rf pkg/backend/tencentvpc
	sed '/backend\/tencentvpc"/d' main.go > main.go.less
	mv main.go.less main.go
	export CGO_ENABLED=1
	tags=netgo,osusergo
	program flanneld . "-extldflags -static -X github.com/flannel-io/flannel/pkg/version.Version=v$version"
}

pause() {
	gcc -Os -static -s -o "$HOSTLER_BUILD/.pause.part" "$here/pause.c"
	mv "$HOSTLER_BUILD/.pause.part" "$HOSTLER_BUILD/pause"
}

case $part in
kubernetes | etcd | coredns | containerd | crictl | cni | cni_flannel | flanneld | pause) mkdir -p "$HOSTLER_BUILD"; "$part" ;;
*)
	echo "no part is called $part" >&2
	exit 2
	;;
esac
