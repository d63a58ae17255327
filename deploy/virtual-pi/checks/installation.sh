#!/bin/sh
# shellcheck disable=SC2015 # in "a && b || c", c is fail, which ends the script
# From a card on which nothing is installed to the service, by the words of README.md and deploy/README.md; then an
# upgrade, a rollback, and what becomes of both. Prints what is done ($), and what is seen.
#
#   virtual_pi.py installation [PART]...            in the virtual Pi, under systemd; it shares the wheels as /mnt/host
set -eu

NAME=stn-rectify
WHEELS=/mnt/host/wheels
NEWER=/mnt/host/newer
RESULTS=/var/lib/$NAME/results.jsonl
WAIT_S=${WAIT_S:-600}
MOST_EXPOSED=1.5

main() {
    [ $# -gt 0 ] || set -- environment service upgrade back broken uninstalled
    fresh_card
    checkout
    for part; do "$part"; done
    echo PASS
}

# --- parts; upgrade, back, broken and uninstalled want the service before them

environment() {
    step "in a virtual environment (README.md)"
    # What the lines want of the network they take from the wheels.
    sed -n '/<!-- device -->/,/^```$/p' README.md | grep -v '^<!--\|^```' >/tmp/words
    cat /tmp/words
    PIP_NO_INDEX=1 PIP_FIND_LINKS=$WHEELS sh -e /tmp/words
    ls out
    rm -rf ~/stn-venv
}

service() {
    step "as a service, without network (deploy/README.md)"
    modprobe vivid n_devs=1 node_types=0x1
    udevadm settle
    controllers=/sys/fs/cgroup/cgroup.controllers # as on Raspberry Pi OS, which has none of memory
    sed 's/ *memory//' $controllers >/tmp/controllers
    mount --bind /tmp/controllers $controllers
    does deploy/install.sh --wheels $WHEELS >/tmp/said || { cat /tmp/said; fail "it was not installed"; }
    cat /tmp/said
    grep -q cgroup_enable=memory /tmp/said || fail "nothing about the memory"
    umount $controllers
    does stn-rectify --list-cameras | head -n 3
    wait_for results 3
    tail -n 1 $RESULTS
    journal
    state

    # Less to do for an emulator that has installations to do beside it.
    sed -i 's/^OPTIONS="/&--model fast --width 320 --height 180 --framerate 1 /' /etc/$NAME/$NAME.conf
    does systemctl restart --no-block $NAME
    goes_on

    step "exposure"
    systemd-analyze security --no-pager $NAME >/tmp/exposure || true
    grep -v '✓' /tmp/exposure
    found=$(sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p' /tmp/exposure)
    echo "$found $MOST_EXPOSED" | awk '{ exit !($1 > 0 && $1 <= $2) }' || fail "exposure $found"
}

upgrade() {
    step "an upgrade, while the service runs"
    before=$(main_pid)
    does deploy/install.sh --wheels $NEWER
    [ "$(main_pid)" != "$before" ] || fail "the old process runs on"
    versions 0.1.1
    goes_on
}

back() {
    step "back (deploy/README.md)"
    does stn-rectify-install rollback
    versions 0.1.0
    goes_on
}

broken() {
    step "a newer version that does not start: the one that runs stays"
    before=$(main_pid)
    ! does deploy/install.sh --wheels /mnt/host/broken || fail "it was installed"
    [ "$(main_pid)" = "$before" ] || fail "it is another process"
    versions 0.1.0
}

uninstalled() {
    step "uninstall"
    does stn-rectify-install --uninstall --purge
    [ ! -e /opt/$NAME ] && [ ! -e /etc/$NAME ] && ! id $NAME >/dev/null 2>&1 || fail "something is left"
}

# --- what they use

# The image has the service installed: a card of which nothing but Debian is known.
fresh_card() {
    systemctl disable --now $NAME 2>/dev/null || true
    rm -rf /opt/stn-rectify /etc/stn-rectify /var/lib/stn-rectify /etc/systemd/system/stn-rectify*
    userdel $NAME
    systemctl daemon-reload
    ! command -v $NAME || fail "it is still there"
}

# As git would have left it; without tests, documents and history.
checkout() {
    mkdir $NAME
    cd /mnt/checkout
    tar -c --exclude=__pycache__ README.md CHANGELOG.md LICENSE MANIFEST.in constraints.txt pyproject.toml setup.cfg runtime \
        models converters deploy docs/reference/stn-rectify.1 docs/demo.jpg | tar -x --no-same-owner -C "$HOME/$NAME"
    cd "$HOME/$NAME"
}

versions() {
    does stn-rectify-install versions
    stn-rectify --version | grep -qF "$1" || fail "$(stn-rectify --version) runs, not $1"
}

goes_on() {
    held=$(count)
    wait_for results $((held + 3))
    journal
    state
}

does() {
    echo "$ $*"
    "$@" 2>&1
}

main_pid() { systemctl show $NAME -p MainPID --value; }
state() { systemctl status --no-pager --lines 0 $NAME | sed -n 's/^ *\(Active\|Status\|Main PID\|Memory\): /    \1: /p'; }
journal() { journalctl -u $NAME -o cat --no-pager | tail -n 6 | sed 's/^/    /'; }
count() { cat $RESULTS 2>/dev/null | wc -l; }
results() { [ "$(count)" -ge "$1" ]; }
now() { cut -d. -f1 /proc/uptime; }

wait_for() {
    until_s=$(($(now) + WAIT_S))
    until "$@" >/dev/null 2>&1; do
        [ "$(now)" -lt "$until_s" ] || fail "waited $WAIT_S s for: $*"
        sleep 0.3
    done
}

step() { printf '\n-- %s (%s s)\n' "$*" "$(now)"; }

fail() {
    echo "FAILED: $*"
    journalctl -u $NAME -o cat --no-pager | tail -n 20
    exit 1
}

main "$@"
