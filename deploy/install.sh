#!/bin/sh
# shellcheck disable=SC2015 # in "a && b || c", c is die, which ends the script
# Installs stn-rectify as a service on a 64-bit Debian or Raspberry Pi OS, upgrades it, or removes it.
set -eu
umask 022 # what root installs, the service must read

NAME=stn-rectify
HERE=$(cd "$(dirname "$0")" && pwd)

usage() {
    cat <<EOF
Usage: sudo $0 [OPTION]...
Installs stn-rectify into /opt/$NAME and starts it as a service; run it again to upgrade.

  --wheel FILE    install this wheel (default: the checkout that this script lies in)
  --wheels DIR    install from the wheels in DIR, without network: stn_rectify-*.whl, all that it
                  needs, and pip-*.whl where the package python3-venv is missing
  --extras LIST   with what options need: web (--serve), mqtt (--mqtt), litert; with commas between
  --no-start      install and enable, but neither start nor restart it
  --root DIR      put all files below DIR, with no user and no service (packagers, tests; no root needed)
  --uninstall     remove the service, /opt/$NAME and the user; configuration and data stay
  --purge         with --uninstall: remove configuration and data, too
  --help          this text

Configuration: /etc/$NAME/$NAME.conf (never overwritten)    Data: /var/lib/$NAME
EOF
}

main() {
    wheel='' wheels='' extras='' root='' action=install start=yes purge=no
    while [ $# -gt 0 ]; do
        case $1 in
            --wheel | --wheels | --extras | --root) [ $# -gt 1 ] || die "$1 needs a value (see $0 --help)" ;;
        esac
        case $1 in
            --wheel) wheel=$2; shift ;;
            --wheels) wheels=$2; shift ;;
            --extras) extras=$2; shift ;;
            --root) root=$2; shift ;;
            --no-start) start=no ;;
            --uninstall) action=uninstall ;;
            --purge) purge=yes ;;
            --help | -h) usage; exit 0 ;;
            *) die "unknown option $1 (see $0 --help)" ;;
        esac
        shift
    done
    [ $action = uninstall ] || [ $purge = no ] || die "--purge needs --uninstall"
    check_extras
    if [ -n "$root" ]; then
        mkdir -p "$root" || die "cannot make the folder $root: choose another one"
        root=$(cd "$root" && pwd)
    fi
    venv=$root/opt/$NAME conf=$root/etc/$NAME/$NAME.conf data=$root/var/lib/$NAME
    unit=$root/etc/systemd/system/$NAME.service
    if [ $action = install ]; then install_all; else uninstall_all; fi
}

install_all() {
    check_system
    requirement=$(find_requirement)
    make_venv
    install_package
    [ -n "$root" ] || make_user
    install_files
    [ -n "$root" ] || enable_service
    version=$("$venv/bin/$NAME" --version) || die "$venv/bin/$NAME does not run, see above"
    say "installed $version in $venv"
    if [ -z "$root" ] && [ $start = yes ]; then start_service; fi
}

uninstall_all() {
    if [ -z "$root" ]; then
        need_root
        if [ -e "$unit" ] && has systemctl; then
            systemctl disable --now --quiet "$NAME" || say "systemctl could not disable the service, see above"
        fi
    fi
    rm -f "$unit"
    rm -rf "$venv"
    if [ -z "$root" ]; then
        ! systemd_runs || systemctl daemon-reload
        ! systemd_runs || systemctl reset-failed --quiet "$NAME" 2>/dev/null || true
        ! id "$NAME" >/dev/null 2>&1 || userdel "$NAME"
    fi
    if [ $purge = yes ]; then
        rm -rf "${conf%/*}" "$data" "$unit.d"
        say "removed, with configuration and data"
    else
        say "removed; kept (as far as they were there): ${conf%/*} and $data (--uninstall --purge removes them)"
    fi
}

# pip itself only warns of an extra that does not exist.
check_extras() {
    for extra in $(echo "$extras" | tr , ' '); do
        case $extra in
            web | mqtt | litert) ;;
            *) die "unknown extra $extra: web, mqtt and litert are for devices" ;;
        esac
    done
}

# What must hold before anything is changed; each line says what to do.
check_system() {
    [ -n "$root" ] || need_root
    [ -f "$HERE/$NAME.service" ] && [ -f "$HERE/$NAME.conf" ] ||
        die "$NAME.service and $NAME.conf are not beside this script: copy the whole folder deploy/"
    case $(uname -m) in
        aarch64 | x86_64) ;;
        *) die "this is a $(uname -m) machine: stn-rectify needs a 64-bit system (aarch64 or x86_64)" ;;
    esac
    has python3 || die "python3 is missing: apt-get install python3 python3-venv"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "$(python3 --version) is too old: stn-rectify needs Python 3.10, which Debian 12 and later have"
    python3 -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
        die "the kernel is 64-bit but the system is not: install the 64-bit Raspberry Pi OS"
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null && [ -z "$(pip_wheel)" ]; then
        die "Python cannot make virtual environments: apt-get install python3-venv"
    fi
    if [ -z "$root" ]; then
        has systemctl || die "systemd is missing: stn-rectify runs without this script, too (pip install, in a venv)"
        systemd_runs || [ $start = no ] ||
            die "systemd does not run here: in a container or an image being made, use --no-start"
    fi
    check_space
}

check_space() {
    [ -e "$venv/bin/$NAME" ] && needed_mb=100 || needed_mb=400
    mkdir -p "${venv%/*}"
    free_mb=$(($(df -Pk "${venv%/*}" | awk 'NR == 2 { print $4 }') / 1024))
    [ "$free_mb" -ge "$needed_mb" ] ||
        die "${venv%/*} has $free_mb MB free, $needed_mb MB are needed: make room (apt-get clean helps)"
}

# The wheel to install, or the checkout's folder.
find_requirement() {
    if [ -n "$wheel" ]; then
        [ -f "$wheel" ] || die "no such wheel: $wheel"
        echo "$(cd "$(dirname "$wheel")" && pwd)/${wheel##*/}"
    elif [ -n "$wheels" ]; then
        [ -d "$wheels" ] || die "no such folder: $wheels"
        set -- "$wheels"/stn_rectify-*.whl
        [ -f "$1" ] || die "no stn_rectify-*.whl in $wheels: in a checkout, make one with  pip wheel --no-deps -w $wheels ."
        [ $# = 1 ] || die "several stn_rectify-*.whl in $wheels: name one with --wheel"
        echo "$1"
    else
        [ -f "$HERE/../setup.cfg" ] || die "$HERE is not in a checkout of stn-rectify: name a wheel with --wheel"
        (cd "$HERE/.." && pwd)
    fi
}

make_venv() {
    # One of another Python version, after a system upgrade, is of no use.
    if ! "$venv/bin/python" -c "import sys; sys.exit(sys.version_info[:2] != $(python3 -c 'import sys; print(sys.version_info[:2])'))" 2>/dev/null; then
        say "making a virtual environment in $venv"
        python3 -m venv --clear --without-pip "$venv" || die "could not make $venv: see above"
    fi
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    if [ -n "$(pip_wheel)" ]; then
        "$venv/bin/python" "$(pip_wheel)/pip" install --quiet --no-index "$(pip_wheel)"
    else
        "$venv/bin/python" -m ensurepip --default-pip >/dev/null
    fi || die "could not install pip into $venv: see above"
}

install_package() {
    was_there=no
    [ ! -e "$venv/bin/$NAME" ] || was_there=yes
    if [ -d "$requirement" ]; then
        build=$(mktemp -d)
        trap 'rm -rf "$build"' EXIT
        copy_checkout "$requirement" "$build"
        set -- "$build${extras:+[$extras]}"
        [ ! -f "$requirement/constraints.txt" ] || set -- -c "$requirement/constraints.txt" "$@"
    else
        set -- "$requirement${extras:+[$extras]}"
    fi
    [ -z "$wheels" ] || set -- --no-index --find-links "$wheels" "$@"
    say "installing $requirement (some minutes on a Raspberry Pi)"
    pip_install --upgrade "$@"
    # The same version again, from another checkout, counts as installed.
    [ $was_there = no ] || pip_install --force-reinstall --no-deps "$@"
}

# Building in a checkout leaves files of root in it, and takes files of earlier builds from it.
copy_checkout() {
    for part in setup.cfg pyproject.toml README.md LICENSE runtime models converters; do
        [ ! -e "$1/$part" ] || cp -R "$1/$part" "$2/"
    done
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore "$@" ||
        die "pip could not install stn-rectify (see above): without network, use --wheels DIR"
}

make_user() {
    getent group video >/dev/null || die "this system has no group video: groupadd --system video"
    if ! id "$NAME" >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir "/var/lib/$NAME" --shell /usr/sbin/nologin "$NAME" ||
            die "could not make the user $NAME: see above"
    fi
    usermod --append --groups video "$NAME"
}

install_files() {
    mkdir -p "${conf%/*}" "${unit%/*}"
    [ -e "$conf" ] || install -m 644 "$HERE/$NAME.conf" "$conf"
    install -m 644 "$HERE/$NAME.service" "$unit"
}

enable_service() {
    ! systemd_runs || systemctl daemon-reload
    systemctl enable --quiet "$NAME" || die "could not enable the service: see above"
}

start_service() {
    systemctl restart "$NAME" || die "the service does not start: systemctl status $NAME"
    sleep 5
    if systemctl is-active --quiet "$NAME"; then
        say "the service runs: journalctl -fu $NAME"
    else
        say "the service does not run yet, it said:"
        journalctl -u "$NAME" -n 3 -o cat --no-pager >&2
    fi
}

need_root() { [ "$(id -u)" = 0 ] || die "this needs root: sudo $0"; }
systemd_runs() { [ -d /run/systemd/system ]; }
has() { command -v "$1" >/dev/null 2>&1; }

pip_wheel() {
    [ -n "$wheels" ] || return 0
    for file in "$wheels"/pip-*.whl; do
        [ ! -f "$file" ] || { echo "$file"; return; }
    done
}

say() { echo "$*" >&2; }
die() {
    echo "${0##*/}: error: $*" >&2
    exit 1
}

main "$@"
