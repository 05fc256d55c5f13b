"""The edge of the host: the only part that touches threads, processes, clocks, sockets, devices and files."""
