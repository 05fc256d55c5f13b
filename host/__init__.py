"""The host: one performance. Pure musical decisions here, and in `edge` all that makes them sound."""
