forget {{ recorded.verified }}
