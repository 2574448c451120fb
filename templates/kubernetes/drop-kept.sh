# What an upgrade kept goes at once, so that no half of it is taken for all; and with it what an earlier run did not finish deleting.
kept={{ path.before_upgrade }}
drop_kept() {
    rm -rf "$kept.hostler-old"
    [ ! -e "$kept" ] || mv -T "$kept" "$kept.hostler-old"
    rm -rf "$kept.hostler-old"
}
