cat {{ path.admin }}
