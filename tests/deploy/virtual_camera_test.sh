#!/bin/sh
# shellcheck disable=SC2015 # in "a && b || c", c is fail, which ends the script
# The whole life of the service on a real systemd, with the kernel's virtual camera (vivid) in place of a webcam.
#
#   sudo tests/deploy/virtual_camera_test.sh [INSTALL OPTION]... [-- STN-RECTIFY OPTION...]
#   sudo tests/deploy/virtual_camera_test.sh --wheels ~/wheels -- --model /etc/own.tflite
#
# For a spare Debian machine or a Raspberry Pi without stn-rectify: it installs and removes it, with its data.
set -eu

NAME=stn-rectify
INSTALL=$(cd "$(dirname "$0")/../../deploy" && pwd)/install.sh
CONF=/etc/$NAME/$NAME.conf
RESULTS=/var/lib/$NAME/results.jsonl
WAIT_S=${WAIT_S:-120} # longest wait for anything; an emulated machine needs it
VIVID=/sys/bus/platform/drivers/vivid

main() {
    [ "$(id -u)" = 0 ] || fail "this needs root"
    [ -d /run/systemd/system ] || fail "systemd does not run here"
    command -v v4l2-ctl >/dev/null || fail "no v4l2-ctl: apt-get install v4l-utils"
    [ ! -e /opt/$NAME ] && [ ! -e /etc/$NAME ] || fail "$NAME is installed here; this test would remove it"
    options='' install_options=''
    while [ $# -gt 0 ] && [ "$1" != -- ]; do install_options="$install_options $1"; shift; done
    [ $# -eq 0 ] || { shift; options=$*; }

    step "virtual camera"
    modprobe vivid n_devs=1 node_types=0x1 no_error_inj=0 ||
        fail "no module vivid: it is part of Debian's and Raspberry Pi OS's kernels"
    udevadm settle
    camera=$(vivid_device)
    echo "$camera"

    step "install, and change the configuration"
    # shellcheck disable=SC2086 # options without blanks
    "$INSTALL" $install_options --no-start
    [ "$(systemctl is-enabled $NAME)" = enabled ] || fail "the service is not enabled"
    ! systemctl is-active --quiet $NAME || fail "--no-start has started it"
    write_conf "--camera $camera --jsonl $RESULTS $options"

    step "install again: an upgrade, which starts the service and keeps the configuration"
    # shellcheck disable=SC2086
    "$INSTALL" $install_options
    grep -q -- "--camera $camera" $CONF || fail "the configuration was overwritten"
    wait_for frames 5
    check_process
    check_results

    step "restart: earlier results are kept"
    systemctl stop $NAME
    earlier=$(head -n 1 $RESULTS)
    lines=$(wc -l <$RESULTS)
    systemctl start $NAME
    wait_for frames $((lines + 5))
    [ "$(head -n 1 $RESULTS)" = "$earlier" ] || fail "the earlier results are gone"

    step "camera unplugged and plugged again: the same process goes on"
    pid=$(show MainPID)
    echo vivid.0 >$VIVID/unbind
    wait_for logged 'trying again'
    said 'was unplugged\|stopped delivering'
    goes_on_after plug

    step "camera hangs, and comes to itself"
    v4l2 percentage_of_dropped_buffers=100
    wait_for logged 'delivered no frame'
    goes_on_after v4l2 percentage_of_dropped_buffers=0
    [ "$(show MainPID)" = "$pid" ] || fail "it is another process"

    step "no camera at the start: it is started again until there is one"
    systemctl stop $NAME
    echo vivid.0 >$VIVID/unbind
    systemctl start --no-block $NAME # which would wait for a camera
    wait_for restarts 1
    said 'does not exist'
    rm -f $RESULTS
    plug
    wait_for frames 5

    step "results file at its size limit: it is moved away, and a new one begins"
    mkdir -p /etc/systemd/system/$NAME.service.d
    {
        printf '[Service]\nLimitFSIZE=4K\nExecStartPre=\n'
        sed -n '/^ExecStartPre=/s/-size +512M/-size +2k/p' /etc/systemd/system/$NAME.service
    } >/etc/systemd/system/$NAME.service.d/limit.conf
    systemctl daemon-reload
    restart
    wait_for restarts $(($(show NRestarts) + 1))
    said "cannot write $RESULTS: File too large"
    wait_for test -s $RESULTS.1
    wait_for frames 1
    [ "$(stat -c %s $RESULTS.1)" -le 4096 ] || fail "the file is larger than its limit"
    [ "$(stat -c %U $RESULTS.1)" = $NAME ] || fail "the moved file is not the user's"
    rm /etc/systemd/system/$NAME.service.d/limit.conf
    systemctl daemon-reload
    restart
    wait_for frames 5

    step "the process hangs: the watchdog ends it, and it begins anew"
    printf '[Service]\nWatchdogSec=5\n' >/etc/systemd/system/$NAME.service.d/watchdog.conf
    systemctl daemon-reload
    restart
    wait_for frames 5
    pid=$(show MainPID)
    kill -STOP "$pid"
    wait_for restarts 1
    wait_for state active
    [ "$(show MainPID)" != "$pid" ] || fail "it is the process that hangs"
    rm /etc/systemd/system/$NAME.service.d/watchdog.conf
    systemctl daemon-reload
    restart
    wait_for frames 5

    step "stop"
    systemctl stop $NAME
    echo "Result=$(show Result) ExecMainStatus=$(show ExecMainStatus)"
    [ "$(show Result)/$(show ExecMainStatus)" = success/0 ] || fail "it did not stop cleanly"
    said 'frames in .* target found'

    step "wrong options: an error line, and no restart"
    write_conf "--camera auto --nonsense"
    systemctl restart $NAME || true
    wait_for state failed
    [ "$(show ExecMainStatus)/$(show NRestarts)" = 2/0 ] || fail "status $(show ExecMainStatus), $(show NRestarts) restarts"
    said 'error: .*--nonsense'

    step "uninstall: configuration and data stay"
    "$INSTALL" --uninstall
    [ -e $CONF ] && [ -e $RESULTS ] || fail "configuration or data are gone"
    nothing_left /opt/$NAME /etc/systemd/system/$NAME.service /etc/systemd/system/$NAME@.service

    step "uninstall with --purge"
    "$INSTALL" --uninstall --purge
    nothing_left /etc/$NAME /var/lib/$NAME
    modprobe -r vivid || true
    echo
    echo PASS
}

# Old results must not be taken for new ones.
restart() {
    rm -f $RESULTS
    systemctl restart --no-block $NAME
}

v4l2() { v4l2-ctl -d "$camera" -c "$1"; }
plug() { echo vivid.0 >$VIVID/bind && udevadm settle; }

# Mends the camera by a command; then new results come, and the log says that it is back.
goes_on_after() {
    lines=$(wc -l <$RESULTS)
    since=$(journalctl -u $NAME -o cat --no-pager | grep -c '^back after' || true)
    "$@"
    wait_for back $((since + 1))
    said '^back after'
    wait_for frames $((lines + 5))
}

show() { systemctl show $NAME -p "$1" --value; }
frames() { [ "$(cat $RESULTS 2>/dev/null | wc -l)" -ge "$1" ]; }
restarts() { [ "$(show NRestarts)" -ge "$1" ]; }
back() { [ "$(journalctl -u $NAME -o cat --no-pager | grep -c '^back after')" -ge "$1" ]; }
logged() { journalctl -u $NAME -o cat --no-pager | tail -n 3 | grep -q -- "$1"; }
state() { [ "$(systemctl is-active $NAME || true)" = "$1" ]; }

# The last 10 lines of the journal have such a line.
said() { journalctl -u $NAME -o cat --no-pager | tail -n 10 | grep -- "$1" | tail -n 1 | grep . || fail "it did not say: $1"; }

check_process() {
    pid=$(show MainPID)
    owner=$(stat -c %U "/proc/$pid")
    groups=$(id -nG $NAME)
    echo "process $pid of user $owner (groups: $groups), $(show ActiveState)"
    [ "$owner" = $NAME ] && echo "$groups" | grep -qw video || fail "wrong user or groups"
    first=$(wc -l <$RESULTS)
    sleep 5
    second=$(wc -l <$RESULTS)
    echo "JSON lines: $first, 5 s later $second"
    [ "$second" -gt "$first" ] || fail "no new lines"
}

check_results() {
    head -n 1 $RESULTS
    head -n 5 $RESULTS | /opt/$NAME/bin/python -c '
import json, math, sys
results = [json.loads(line) for line in sys.stdin]
assert len(results) == 5
for result in results:
    assert [len(corner) for corner in result["corners"]] == [2, 2, 2, 2], result
    assert all(math.isfinite(x) for corner in result["corners"] for x in corner), result
    assert 0 <= result["score"] <= 1 and result["latency_ms"] > 0, result
indices = [result["frame"] for result in results]
assert indices == sorted(set(indices)), indices
print("five results checked, frames", indices)' || fail "wrong results"
}

nothing_left() {
    for path in "$@"; do [ ! -e "$path" ] || fail "$path is left"; done
    ! id $NAME >/dev/null 2>&1 || fail "the user is left"
    ! getent group $NAME >/dev/null || fail "the group is left"
    [ "$(systemctl show $NAME -p LoadState --value)" = not-found ] || fail "systemd still knows the unit"
    [ -z "$(find /etc/systemd -name "$NAME*")" ] || fail "left in /etc/systemd: $(find /etc/systemd -name "$NAME*")"
    echo "gone: $* user group unit"
}

write_conf() { printf 'OPTIONS="\n  %s\n"\n' "$1" >$CONF; }

vivid_device() {
    for node in /sys/class/video4linux/video*; do
        case $(cat "$node/name") in vivid*) echo "/dev/${node##*/}"; return ;; esac
    done
    fail "vivid has made no camera"
}

wait_for() {
    waited=0
    until "$@"; do
        [ $waited -lt "$WAIT_S" ] || fail "waited $WAIT_S s for: $*"
        sleep 1
        waited=$((waited + 1))
    done
    echo "$* after $waited s, restarts $(show NRestarts)"
}

step() { printf '\n-- %s\n' "$*"; }
fail() {
    echo "FAIL: $*" >&2
    journalctl -u $NAME -o cat --no-pager 2>/dev/null | tail -n 20 >&2
    exit 1
}

main "$@"
