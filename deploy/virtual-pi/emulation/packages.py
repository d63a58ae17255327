"""Debian's packages: which, by hash (debian-packages.txt), and how they are fetched.

Dependencies are resolved once, by ``lock``; a set-up afterwards takes these files and no others. Both ask the mirrors
that this machine's apt uses.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emulation.place import HERE, VirtualPiError

LIST = HERE / "debian-packages.txt"
_WANTED = (
    "base-files",
    "base-passwd",
    "bash",
    "busybox-static",
    "ca-certificates",
    "coreutils",
    "dash",
    "dbus",
    "diffutils",
    "e2fsprogs",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "init-system-helpers",
    "iproute2",
    "kmod",
    "libc-bin",
    "linux-image-arm64",
    "login",
    "mawk",
    "mount",
    "ncurses-bin",
    "passwd",
    "procps",
    "python3",
    "python3-venv",
    "sed",
    "systemd-sysv",
    "sysvinit-utils",
    "tar",
    "udev",
    "util-linux",
    "v4l-utils",
)
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_HEAD = """\
# The arm64 packages of the virtual Pi: SHA-256, suite, and place on a mirror of it. `virtual_pi.py lock` makes it anew.
"""


@dataclass(frozen=True)
class Package:
    """A file of a Debian mirror: its SHA-256 in hex, its suite, and its path on the mirror."""

    sha256: str
    suite: str
    path: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rsplit("/", 1)[1]


def read_list() -> list[Package]:
    """The packages that debian-packages.txt names."""
    lines = (line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#"))
    return [Package(*words) for words in lines]


def fetch(packages: list[Package], folder: Path) -> list[Path]:
    """Downloads what is not in the folder yet; every file's hash is compared, those that were there, too.

    Raises:
        VirtualPiError: if a mirror does not have one, or has another file in its place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sites = _sites()
    words: list[str] = []
    for package in packages:
        target = folder / package.name
        if not target.exists() or hashlib.sha256(target.read_bytes()).hexdigest() != package.sha256:
            target.unlink(missing_ok=True)
            words += [f"{sites[package.suite]}/{package.path}", str(target), f"SHA256:{package.sha256}"]
    if words:
        done = subprocess.run(
            ["/usr/lib/apt/apt-helper", "download-file", *words], capture_output=True, text=True, check=False
        )
        missing = [package.name for package in packages if not (folder / package.name).exists()]
        if done.returncode or missing:
            raise VirtualPiError(
                f"could not download {', '.join(missing) or 'all packages'}: {done.stderr.strip()[-500:]}. A mirror"
                " keeps old versions for a while only; then: virtual_pi.py lock"
            )
    return [folder / package.name for package in packages]


def lock() -> int:
    """Resolves the dependencies with today's packages, whose signatures apt checks, and writes debian-packages.txt.

    Returns:
        How many packages there are.

    Raises:
        VirtualPiError: if apt cannot.
    """
    sites = _sites()
    with tempfile.TemporaryDirectory() as scratch:
        apt = Path(scratch)
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (apt / folder).mkdir(parents=True)
        lines = (f"deb [arch=arm64 signed-by={_KEYRING}] {site} {suite} main\n" for suite, site in sites.items())
        (apt / "sources.list").write_text("".join(lines))
        settings = {
            "Dir::Etc::sourcelist": apt / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State": apt / "state",
            "Dir::Cache": apt / "cache",
            "Dir::State::status": "/dev/null",
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "Acquire::ForceHash": "SHA256",
        }
        options = [f"-o{name}={value}" for name, value in settings.items()]
        _apt(options, "update")
        said = _apt(options, "install", "-y", "--no-install-recommends", "--print-uris", *_WANTED)
    packages = []
    for line in said.splitlines():
        if line.startswith("'"):
            address, _, _, digest = line.split()
            suite, site = next((suite, site) for suite, site in sites.items() if address[1:].startswith(f"{site}/"))
            packages.append(Package(digest.removeprefix("SHA256:"), suite, address[1:-1].removeprefix(f"{site}/")))
    packages.sort(key=lambda package: package.name)
    LIST.write_text(_HEAD + "".join(f"{item.sha256}  {item.suite}  {item.path}\n" for item in packages))
    return len(packages)


def _sites() -> dict[str, str]:
    """The mirrors of this machine's apt, by suite."""
    fields = "$(CODENAME) $(SITE) $(COMPONENT)"
    said = _apt([], "indextargets", "--format", fields, "Created-By: Packages")
    sites = {}
    for line in sorted(set(said.splitlines())):
        suite, site, component = line.split()
        if component == "main" and suite in ("bookworm", "bookworm-security"):
            sites[suite] = site.rstrip("/")
    if len(sites) < 2:
        raise VirtualPiError(
            "this machine's apt names no mirrors of bookworm and bookworm-security: run it on a Debian 12"
        )
    return sites


def _apt(options: list[str], *words: str) -> str:
    done = subprocess.run(["apt-get", *options, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise VirtualPiError(f"apt-get {words[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
