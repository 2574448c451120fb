# kubelet mounts the volumes of pods itself. Whatever else is mounted where a wipe goes was put there by somebody who wants it to stay.
function in_the_way(place) {
    return place ~ "^({{ wipe.all | join("|") }})(/|$)" && place !~ "^{{ path.kubelet }}/(pods|plugins)/"
}
