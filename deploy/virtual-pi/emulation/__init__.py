"""An arm64 Debian 12 on an x86-64 machine, by QEMU.

In: Debian packages and wheels by their hashes (`packages`), this checkout. Out: a root file system and an image of it
(`root`), programs of it run one by one (`user_mode`), a whole machine (`machine`). Needs Python's standard library and
the tools that `place` names.
"""
