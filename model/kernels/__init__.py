"""A decoder's step in native code, built on this machine when it has a compiler; nothing else needs one."""
