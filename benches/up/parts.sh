# shellcheck shell=bash
# What the plain scripts share; each sources it, with `hostler` (the program), `bundle` (a bundle's folder) and `work` (a folder) set.
# shellcheck disable=SC2154 # who sources this sets them

on() { local machine=$1; shift; "$hostler" lab ssh "$machine" "$*"; }

# roles: who is what in $work/files, as kubeadm's documents there say it: $first, and the lists planes and workers.
# shellcheck disable=SC2034 # who sources this reads them
roles() {
    local run machine
    first='' planes=() workers=()
    for run in "$work"/files/*/run/hostler; do
        machine=${run#"$work/files/"} machine=${machine%%/*}
        if [ -e "$run/init.yaml" ]; then
            first=$machine
        elif grep -q '^controlPlane:' "$run/join.yaml"; then
            planes+=("$machine")
        else
            workers+=("$machine")
        fi
    done
}

# parts FOLDER: the bundle's programs below $work/programs/FOLDER as a machine has them, and in $work/oci what makes its blobs an OCI archive.
parts() {
    python3 - "$bundle" "$work" "$1" <<'PYTHON'
import json, os, sys
bundle, work, below = sys.argv[1:]
manifest = json.load(open(f"{bundle}/manifest.json"))
for file in manifest["files"]:
    folder = f"{work}/programs/{below}/" + ("cni" if file["kind"] == "cniPlugin" else "bin")
    os.makedirs(folder, exist_ok=True)
    first = f"{work}/first-{file['sha256']}"
    path = f"{folder}/{file['name']}"
    if os.path.exists(first):
        os.link(os.readlink(first), path)
    else:
        os.link(f"{bundle}/files/{file['sha256']}", path)
        os.symlink(path, first)
index = {"schemaVersion": 2, "manifests": [
    {"mediaType": image["mediaType"], "digest": image["digest"], "size": image["manifestSize"],
     "annotations": {"io.containerd.image.name": image["reference"]}} for image in manifest["images"]]}
os.makedirs(f"{work}/oci")
json.dump(index, open(f"{work}/oci/index.json", "w"))
open(f"{work}/oci/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
PYTHON
}

# images MACHINE [FOLDER]: the bundle's images go into its containerd, by the ctr in FOLDER or in PATH.
images() {
    # One tar after another, without the first one's end.
    { tar -C "$work/oci" -b 1 -c oci-layout index.json | head -c -1024; cat "$bundle/images.tar"; } |
        on "$1" "${2:+$2/}ctr -n k8s.io images import --local - > /dev/null"
}
