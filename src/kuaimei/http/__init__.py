"""HTTP layer below the routers, shared by server and workers: errors, limits, keys, origins, sockets."""
