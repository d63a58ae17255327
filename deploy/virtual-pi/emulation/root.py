"""The root file system of the virtual Pi, and the image that a whole machine starts from.

No arm64 instruction is run for it: packages are unpacked, not configured, and what their scripts would have done is
done here as far as it is needed; wheels are unpacked by this machine's pip. Owners and device nodes need root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from emulation import packages
from emulation.place import CHECKOUT, HERE, Place, VirtualPiError

_DEPLOY = CHECKOUT / "deploy"
_EARLY_MODULES = ("virtio_pci", "virtio_blk", "ext4", "9p", "9pnet_virtio", "crc32c_generic")
_MODULES = (*_EARLY_MODULES, "virtio_rng", "autofs4", "configfs", "vivid", "uvcvideo", "loop")
_FREE_MB = 1500  # for installations; a hole in the image's file until it is used
_USERS = """\
messagebus:x:100:107::/nonexistent:/usr/sbin/nologin
stn-rectify:x:990:990::/var/lib/stn-rectify:/usr/sbin/nologin
"""
_GROUPS = """\
messagebus:x:107:
stn-rectify:x:990:
input:x:401:
kvm:x:402:
render:x:403:
sgx:x:404:
"""
_FILES = {
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    "etc/hostname": "virtual-pi\n",
    "etc/hosts": "127.0.0.1 localhost virtual-pi\n",
    "etc/fstab": "",
    "etc/machine-id": "",
}
_ENVIRONMENT = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n"


def set_up(place: Place) -> None:
    """Makes what is not there yet, or not of this checkout any more: root, wheels, the project, the image.

    Raises:
        VirtualPiError: if something is missing on this machine, or cannot be downloaded.
    """
    place.need("setup")
    place.folder.mkdir(parents=True, exist_ok=True)
    if _is_new(place, "root", packages.LIST.read_bytes()):
        print(f"== Debian 12 for arm64 in {place.root}", flush=True)
        _make_root(place)
        _make_kernel(place)
        _done(place, "root", packages.LIST.read_bytes())
        (place.folder / "wheels.done").unlink(missing_ok=True)
    pins = (_DEPLOY / "requirements.txt").read_bytes()
    if _is_new(place, "wheels", pins):
        print(f"== wheels in {place.wheels}", flush=True)
        shutil.rmtree(place.wheels, ignore_errors=True)
        _run([sys.executable, _DEPLOY / "download_wheels.py", place.wheels])
        _install_wheels(place)
        _done(place, "wheels", pins)
    print(f"== this checkout in {place.version}", flush=True)
    _install_project(place)
    print(f"== {place.image}", flush=True)
    _make_image(place)


def _is_new(place: Place, part: str, content: bytes) -> bool:
    done = place.folder / f"{part}.done"
    return not done.exists() or done.read_text() != hashlib.sha256(content).hexdigest()


def _done(place: Place, part: str, content: bytes) -> None:
    (place.folder / f"{part}.done").write_text(hashlib.sha256(content).hexdigest())


def _make_root(place: Place) -> None:
    debs = packages.fetch(packages.read_list(), place.packages)
    root = place.root
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "sbin", "lib"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for deb in debs:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpacked:
            _run(["tar", "-C", root, "-x", "--keep-directory-symlink", "-f", "-"], stdin=unpacked.stdout)
        if unpacked.returncode:
            raise VirtualPiError(f"{deb} cannot be unpacked: delete it, and run setup again")
    for name in ("passwd", "group"):
        shutil.copy(root / "usr/share/base-passwd" / f"{name}.master", root / "etc" / name)
    _append(root / "etc/passwd", _USERS)
    _append(root / "etc/group", _GROUPS)
    group = (root / "etc/group").read_text()
    (root / "etc/group").write_text(group.replace("\nvideo:*:44:", "\nvideo:x:44:stn-rectify"))
    passwd = (root / "etc/passwd").read_text()
    (root / "etc/passwd").write_text(passwd.replace("root:*:", "root::", 1))
    for name, text in _FILES.items():
        (root / name).write_text(text)
    for name in ("doc", "man", "locale"):
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    if not (root / "usr/bin/awk").exists():
        (root / "usr/bin/awk").symlink_to("mawk")
    _compile(root / "usr/lib/python3.11")
    _run(["ldconfig", "-r", root], check=False)  # that of x86-64 knows arm64's libraries


def _append(file: Path, text: str) -> None:
    with open(file, "a") as opened:
        opened.write(text)


def _make_kernel(place: Place) -> None:
    """Kernel and initrd beside the root; of the modules those that are used stay in the root."""
    modules = next((place.root / "usr/lib/modules").iterdir())
    release = modules.name
    _run(["depmod", "-b", place.root, release])
    shutil.copy(place.root / "boot" / f"vmlinuz-{release}", place.kernel)
    shutil.rmtree(place.root / "boot")
    (place.root / "boot").mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        early = Path(scratch)
        for name in ("bin", "modules", "proc", "sys", "dev", "root"):
            (early / name).mkdir()
        for number, module in enumerate(_with_dependencies(place.root, release, _EARLY_MODULES)):
            shutil.copy(module, early / "modules" / f"{number:03}-{module.name}")
        shutil.copy(place.root / "usr/bin/busybox", early / "bin/busybox")
        shutil.copy(HERE / "guest/early-init", early / "init")
        (early / "init").chmod(0o755)
        archive = "find . | cpio -o -H newc -R 0:0 --quiet | gzip -1"
        with open(place.initrd, "wb") as file:
            _run(["sh", "-c", archive], cwd=early, stdout=file)
    kept = {module.resolve() for module in _with_dependencies(place.root, release, _MODULES)}
    for module in modules.rglob("*.ko"):
        if module.resolve() not in kept:
            module.unlink()
    _run(["depmod", "-b", place.root, release])


def _with_dependencies(root: Path, release: str, names: tuple[str, ...]) -> list[Path]:
    """The files of modules, each after those that it needs."""
    files: dict[Path, None] = {}
    for name in names:
        said = subprocess.run(
            ["modprobe", "-d", root, "-S", release, "--show-depends", name], capture_output=True, text=True, check=True
        )
        files.update((Path(line.split()[1]), None) for line in said.stdout.splitlines() if line.startswith("insmod"))
    return list(files)


def _install_wheels(place: Place) -> None:
    shutil.rmtree(place.version, ignore_errors=True)
    shutil.rmtree(place.litert, ignore_errors=True)
    (place.version / "bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (place.version / "bin" / name).symlink_to("/usr/bin/python3.11")
    (place.version / "pyvenv.cfg").write_text(_ENVIRONMENT)
    wheels = sorted(place.wheels.glob("*.whl"))
    litert = [wheel for wheel in wheels if wheel.name.startswith("ai_edge_litert-")]
    _unpack(
        [wheel for wheel in wheels if wheel not in litert and not wheel.name.startswith("stn_rectify-")], place.site
    )
    _unpack(litert, place.litert)


def _install_project(place: Place) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        _run([sys.executable, _DEPLOY / "build_wheel.py", made])
        shutil.rmtree(place.site / "stn_rectify", ignore_errors=True)
        for old in place.site.glob("stn_rectify-*.dist-info"):
            shutil.rmtree(old)
        _unpack(list(made.glob("*.whl")), place.site)
    command = place.version / "bin" / "stn-rectify"
    command.write_text(
        "#!/opt/stn-rectify/versions/virtual/bin/python\n"
        "from stn_rectify.runtime.process.starting import rectify\nrectify()\n"
    )
    command.chmod(0o755)
    home = place.version.parents[1]
    for link, target in ((home / "current", "versions/virtual"), (home / "bin", "current/bin")):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    units, settings = place.root / "etc/systemd/system", place.root / "etc/stn-rectify"
    settings.mkdir(exist_ok=True)
    for name in ("stn-rectify.service", "stn-rectify@.service"):
        shutil.copy(_DEPLOY / name, units / name)
    shutil.copy(_DEPLOY / "stn-rectify.conf", settings / "stn-rectify.conf")


def _unpack(wheels: list[Path], target: Path) -> None:
    """Unpacks wheels for Python 3.11 on arm64, and compiles what Python 3.11 is there to compile."""
    target.mkdir(parents=True, exist_ok=True)
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)]
    _pip("install", "--no-index", "--no-deps", "--no-compile", "--target", target, "--python-version", "3.11",
         "--implementation", "cp", "--only-binary=:all:", *platforms, "--platform=manylinux2014_aarch64",
         "--root-user-action=ignore", "--upgrade", *wheels)  # fmt: skip
    shutil.rmtree(target / "bin", ignore_errors=True)
    _compile(target)


def _compile(folder: Path) -> None:
    """Makes byte code where Python 3.11 is there to do so: without, a start in a whole machine takes 15 s more."""
    if python := shutil.which("python3.11"):
        _run([python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", folder], check=False)


def _make_image(place: Place) -> None:
    root = place.root
    for name in ("plain-init", "run-command", "write-until-killed"):
        program = root / "usr/sbin" / f"virtual-pi-{name}"
        shutil.copy(HERE / "guest" / name, program)
        program.chmod(0o755)
    units = root / "etc/systemd/system"
    shutil.copy(HERE / "guest/virtual-pi-command.service", units)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    for link, target in (
        (units / "multi-user.target.wants/virtual-pi-command.service", "../virtual-pi-command.service"),
        (units / "default.target", "/lib/systemd/system/multi-user.target"),
    ):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    taken = sum(file.lstat().st_size + 4096 for file in _files(root)) // 1_000_000
    place.image.unlink(missing_ok=True)
    _run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, place.image, f"{taken * 9 // 8 + _FREE_MB}M"])


def _files(folder: Path) -> Iterator[Path]:
    for base, _, names in os.walk(folder):
        yield from (Path(base, name) for name in names)


def _pip(*words: object) -> None:
    _run([sys.executable, "-m", "pip", *map(str, words), "--quiet", "--disable-pip-version-check"])


def _run(
    command: list[object],
    *,
    check: bool = True,
    cwd: Path | None = None,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
) -> None:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    words = [str(word) for word in command]
    done = subprocess.run(words, env=environment, cwd=cwd, stdin=stdin, stdout=stdout, check=False)
    if done.returncode and check:
        raise VirtualPiError(f"{command[0]} failed (status {done.returncode}), see above")
