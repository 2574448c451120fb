forget {{ recorded.verified }}
rm -f {{ path.applied }}/{{ mark.unverified }}
