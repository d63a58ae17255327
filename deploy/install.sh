#!/bin/sh
# shellcheck disable=SC2015,SC2317 # in "a && b || c", c is die, which ends the script; the trap calls what seems never called
# Installs stn-rectify as a service on a 64-bit Debian or Raspberry Pi OS, upgrades it, goes back, or removes it.
set -eu
umask 022 # what root installs, the service must read
unset PYTHONPATH PYTHONHOME
export PIP_ROOT_USER_ACTION=ignore

NAME=stn-rectify
RESTART_STEPS_VERSION=254 # of systemd; older ones have a line in the journal for each key that they do not know
CONTROLLERS=/sys/fs/cgroup/cgroup.controllers # of cgroup 2
SAID=3 # the status, inside, of an error that has had its line; outside it is 1
HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)

usage() {
    cat <<EOF
Usage: sudo $0 [OPTION]... [rollback | versions]
Installs stn-rectify into /opt/$NAME and starts it as a service; run it again to upgrade. A new version gets an
environment of its own, is tested there, and then takes the place of the old one in one step.

  rollback        go back to the version before; once more: forward again
  versions        list the versions that are there

  --wheel FILE    install this wheel (default: the checkout that this script lies in)
  --wheels DIR    install from the wheels in DIR, without network: stn_rectify-*.whl, all that it
                  needs, and pip-*.whl where the package python3-venv is missing; --offline DIR is the same
  --require-hashes  with --wheels: refuse wheels that requirements.txt does not name (altered ones always are)
  --extras LIST   with what options need: web (--serve), mqtt (--mqtt), litert, signatures; with commas
                  between
  --system-site-packages  see the system's Python packages, too (picamera2); later versions keep it so
  --no-start      install and enable, but neither start nor restart it
  --root DIR      put all files below DIR, with no user and no service (packagers, tests; no root needed)
  --uninstall     remove the service, /opt/$NAME and the user; configuration and data stay
  --purge         with --uninstall: remove configuration and data, too
  --help          this text

Configuration: /etc/$NAME/$NAME.conf (never overwritten)    Data: /var/lib/$NAME
EOF
}

main() {
    build='' environment='' home=''
    trap 'end $?' EXIT
    wheel='' wheels='' extras='' action=install start=yes purge=no hashes=known system_packages=no
    root=$(root_of_this_script)
    while [ $# -gt 0 ]; do
        case $1 in
            --wheel | --wheels | --offline | --extras | --root) [ $# -gt 1 ] || die "$1 needs a value (see $0 --help)" ;;
        esac
        case $1 in
            rollback | versions) action=$1 ;;
            --wheel) wheel=$2; shift ;;
            --wheels | --offline) wheels=$2; shift ;;
            --require-hashes) hashes=given ;;
            --extras) extras=$2; shift ;;
            --system-site-packages) system_packages=yes ;;
            --root) root=$2; shift ;;
            --no-start) start=no ;;
            --uninstall) action=uninstall ;;
            --purge) purge=yes ;;
            --help | -h) usage; exit 0 ;;
            -*) die "unknown option $1 (see $0 --help)" ;;
            *) die "unknown command $1: rollback and versions are known (see $0 --help)" ;;
        esac
        shift
    done
    [ "$action" = uninstall ] || [ $purge = no ] || die "--purge needs --uninstall"
    check_extras
    if [ -n "$root" ]; then
        mkdir -p "$root" || die "cannot make the folder $root: choose another one"
        root=$(cd "$root" && pwd)
    fi
    home=$root/opt/$NAME conf=$root/etc/$NAME/$NAME.conf data=$root/var/lib/$NAME
    units=$root/etc/systemd/system commands=$root/usr/local/bin
    case $action in
        install) install_all ;;
        uninstall) uninstall_all ;;
        rollback) rollback ;;
        versions) list_versions ;;
    esac
}

# An installed one acts on the installation that it belongs to, wherever that lies.
root_of_this_script() {
    case $HERE in
        */opt/$NAME/versions/*/share/$NAME) echo "${HERE%/opt/"$NAME"/versions/*}" ;;
    esac
}

install_all() {
    check_system
    requirement=$(find_requirement)
    [ -z "$wheels" ] || wheels=$(cd "$wheels" && pwd)
    lock_installation
    clear_away
    take_over_old_layout
    make_environment
    self_test
    [ -n "$root" ] || make_user
    switch_to "$new"
    install_files
    [ -n "$root" ] || enable_service
    version=$("$home/bin/$NAME" --version) || die "$home/bin/$NAME does not run, see above"
    say "installed $version in $environment"
    case $version in
        *tflite-runtime*) say "ai-edge-litert runs the networks faster: run this again with litert among the --extras" ;;
    esac
    if [ -z "$root" ] && [ $start = yes ]; then start_service; fi
    clear_away
}

# Whatever ends it: what it has made for itself goes, unless it runs by now; an error has one line.
end() {
    [ -z "$build" ] || rm -rf "$build"
    [ -z "$environment" ] || [ "$(current_version)" = "${environment##*/}" ] || rm -rf "$environment"
    case $1 in
        0) ;;
        "$SAID") exit 1 ;;
        *)
            current=$(current_version)
            say "${0##*/}: error: stopped by what stands above; ${current:+$current runs on: }mend that, then run the same command again"
            exit 1
            ;;
    esac
}

uninstall_all() {
    if [ -z "$root" ]; then
        need_root
        if [ -e "$units/$NAME.service" ] && has systemctl; then
            systemctl stop --quiet "$NAME@*.service" || say "systemctl could not stop all services, see above"
            systemctl disable --now --quiet "$NAME" || say "systemctl could not disable the service, see above"
        fi
    fi
    [ ! -d "$home" ] || lock_installation
    rm -f "$units/$NAME.service" "$units/$NAME@.service" "$units"/*.target.wants/"$NAME"@*.service
    for unit in "$NAME.service" "$NAME@.service"; do
        rm -f "$units/$unit.d/10-restart-steps.conf"
        rmdir "$units/$unit.d" 2>/dev/null || true
    done
    for link in "$commands/$NAME" "$commands/$NAME-install"; do
        [ "$(readlink "$link" 2>/dev/null)" != "$home/bin/${link##*/}" ] || rm -f "$link"
    done
    rm -rf "$home"
    if [ -z "$root" ]; then
        ! systemd_runs || systemctl daemon-reload
        ! systemd_runs || systemctl reset-failed --quiet "$NAME" 2>/dev/null || true
        ! id "$NAME" >/dev/null 2>&1 || userdel "$NAME"
    fi
    if [ $purge = yes ]; then
        rm -rf "${conf%/*}" "$data" "$units/$NAME.service.d" "$units/$NAME@.service.d"
        say "removed, with configuration and data"
    else
        say "removed; kept (as far as they were there): ${conf%/*} and $data (--uninstall --purge removes them)"
    fi
}

# pip itself only warns of an extra that does not exist.
check_extras() {
    for extra in $(echo "$extras" | tr , ' '); do
        case $extra in
            web | mqtt | litert | signatures) ;;
            *) die "unknown extra $extra: web, mqtt, litert and signatures are for devices" ;;
        esac
    done
}

# What must hold before anything is changed; each line says what to do.
check_system() {
    [ -n "$root" ] || need_root
    for file in "$NAME.service" "$NAME@.service" "$NAME.conf" restart-steps.conf requirements.txt; do
        [ -f "$HERE/$file" ] || die "$file is not beside this script: copy the whole folder deploy/"
    done
    case $(uname -m) in
        aarch64 | x86_64) ;;
        *) die "this is a $(uname -m) machine: stn-rectify needs a 64-bit system (aarch64 or x86_64)" ;;
    esac
    has flock || die "flock is missing: apt-get install util-linux"
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
    needed_mb=400
    check_writable "${home%/*}"
    free_mb=$(($(df -Pk "${home%/*}" | awk 'NR == 2 { print $4 }') / 1024))
    [ "$free_mb" -ge "$needed_mb" ] ||
        die "${home%/*} has $free_mb MB free, $needed_mb MB are needed: make room (apt-get clean helps)"
}

check_writable() {
    ! mkdir -p "$1" 2>/dev/null || [ ! -w "$1" ] || return 0
    [ "$(id -u)" = 0 ] || die "$1 cannot be written to by this user: sudo $0"
    die "$1 cannot be written to: where it is read-only, mount -o remount,rw / makes it writable"
}

# The wheel to install, or the checkout's folder.
find_requirement() {
    if [ -n "$wheel" ]; then
        [ -f "$wheel" ] || die "no such wheel: $wheel"
        echo "$(cd "$(dirname "$wheel")" && pwd)/${wheel##*/}"
    elif [ -n "$wheels" ]; then
        [ -d "$wheels" ] || die "no such folder: $wheels"
        set -- "$wheels"/stn_rectify-*.whl
        [ -f "$1" ] || die "no stn_rectify-*.whl in $wheels: in a checkout, make one with  python3 deploy/build_wheel.py $wheels"
        [ $# = 1 ] || die "several stn_rectify-*.whl in $wheels: name one with --wheel"
        echo "$1"
    else
        [ -f "$HERE/../setup.cfg" ] || die "$HERE is not in a checkout of stn-rectify: name a wheel with --wheel"
        (cd "$HERE/.." && pwd)
    fi
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
    mkdir -p "${conf%/*}" "$units" "$commands"
    [ -e "$conf" ] || put_file "$HERE/$NAME.conf" "$conf"
    put_file "$HERE/$NAME.service" "$units/$NAME.service"
    put_file "$HERE/$NAME@.service" "$units/$NAME@.service"
    for unit in "$NAME.service" "$NAME@.service"; do
        rm -f "$units/$unit.d/10-restart-steps.conf"
        if [ "$(systemd_version)" -ge $RESTART_STEPS_VERSION ]; then
            mkdir -p "$units/$unit.d"
            put_file "$HERE/restart-steps.conf" "$units/$unit.d/10-restart-steps.conf"
        fi
    done
    for command in "$NAME" "$NAME-install"; do
        # What somebody else has put there stays.
        [ -e "$commands/$command" ] || [ -L "$commands/$command" ] || ln -s "$home/bin/$command" "$commands/$command"
    done
}

# Never half a file under that name.
put_file() {
    install -m 644 "$1" "$2.new"
    mv -fT "$2.new" "$2"
}

enable_service() {
    ! systemd_runs || systemctl daemon-reload
    systemctl enable --quiet "$NAME" || die "could not enable the service: see above"
    # Raspberry Pi OS starts its kernel with cgroup_disable=memory.
    if [ -e "$CONTROLLERS" ] && ! grep -qw memory "$CONTROLLERS"; then
        say "note: this kernel limits no service's memory, so MemoryMax does nothing: to change that add cgroup_enable=memory" \
            "to the line in /boot/firmware/cmdline.txt, and restart the machine"
    fi
}

# It is active once camera and model are open; without a camera it is started again and again.
start_service() {
    systemctl restart --no-block "$NAME" || die "the service does not start: systemctl status $NAME"
    for instance in $(systemctl list-units --plain --no-legend "$NAME@*.service" | cut -d' ' -f1); do
        systemctl restart --no-block "$instance" || die "$instance does not start: systemctl status $instance"
    done
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        sleep 5
        ! systemctl is-active --quiet "$NAME" || break
        [ "$(systemctl show -P SubState "$NAME")" != auto-restart ] || break
    done
    if systemctl is-active --quiet "$NAME"; then
        say "the service runs: journalctl -fu $NAME"
    else
        say "the service does not run yet, it said:"
        journalctl -u "$NAME" -n 3 -o cat --no-pager >&2
        [ -z "$(version_before)" ] || say "back to the version before: $NAME-install rollback"
    fi
}

need_root() { [ "$(id -u)" = 0 ] || die "this needs root: sudo $0"; }
systemd_version() { systemctl --version 2>/dev/null | awk 'NR == 1 && $2 ~ /^[0-9]+$/ { v = $2 } END { print v + 0 }'; }
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
    exit $SAID
}

for part in versions environment; do
    [ -f "$HERE/installer/$part.sh" ] || { say "${0##*/}: error: installer/$part.sh is not beside this script: copy the whole folder deploy/"; exit 1; }
done
# shellcheck source=SCRIPTDIR/installer/versions.sh
. "$HERE/installer/versions.sh"
# shellcheck source=SCRIPTDIR/installer/environment.sh
. "$HERE/installer/environment.sh"
main "$@"; exit # on one line: whoever writes to this file meanwhile has nothing of it run
