#!/bin/sh
# The service, and a camera that fails in every way that the kernel's virtual one can; clock and memory, too. Prints a
# table: fault, what the journal says, seconds of the machine's own clock from the mend to the next result.
#
#   virtual_pi.py camera-faults [FAULT]...          in the virtual Pi, under systemd
set -eu

NAME=stn-rectify
RESULTS=/var/lib/$NAME/results.jsonl
CONF=/etc/$NAME/$NAME.conf
CAMERA=/dev/video0
OVERRIDES=/run/systemd/system/$NAME.service.d
VIVID=/sys/bus/platform/drivers/vivid
WAIT_S=${WAIT_S:-600} # longest wait for anything
ALL='unplugged driver_removed hung streaming_error stream_refused broken_buffers wrong_format unknown_format black frozen busy clock_forward clock_back memory_limit hung_process stopped'

main() {
    [ $# -gt 0 ] || eval "set -- $ALL"
    make_patient
    plug_in
    configure
    systemctl daemon-reload
    systemctl start --no-block $NAME
    wait_for results 3
    echo '| fault | observed | s |'
    echo '|---|---|---|'
    for fault; do
        mark=$(journal | wc -l)
        before=$(restarts)
        "$fault"
    done
    systemctl stop $NAME
    [ "$(systemctl show $NAME -p Result --value)" = success ] || fail "the service did not stop cleanly"
    ! dmesg | grep -E 'Oops|BUG:' || fail "the kernel complains"
    echo PASS
}

# --- faults: each breaks something, waits until that is noticed, mends it, and waits for results

unplugged() {
    echo vivid.0 >$VIVID/unbind
    wait_for logged 'trying again'
    mend 'USB unplugged (driver unbound), and plugged in' 'unplugged|stopped|lost' plug
}

driver_removed() {
    echo vivid.0 >$VIVID/unbind
    wait_for logged 'trying again'
    wait_for modprobe -r vivid
    mend 'driver removed, and loaded again' 'trying again' plug_in
}

hung() {
    control percentage_of_dropped_buffers=100
    wait_for logged 'delivered no frame'
    mend 'camera hangs: no frame comes' 'delivered no frame' control percentage_of_dropped_buffers=0
}

streaming_error() {
    control inject_fatal_streaming_error=1
    wait_for logged 'trying again'
    mend 'driver reports a fatal error while it streams' 'trying again' true
}

stream_refused() {
    echo vivid.0 >$VIVID/unbind
    wait_for logged 'trying again'
    plug
    control inject_vidioc_streamon_error=1 || true
    mend 'driver refuses to stream when it is opened again' 'trying again' true
}

broken_buffers() {
    control inject_v4l2_buf_flag_error=1
    mend 'a buffer marked as broken' 'broken|error' true
}

wrong_format() {
    systemctl stop $NAME
    v4l2-ctl -d $CAMERA --set-fmt-video=width=640,height=480,pixelformat=NV24 >/dev/null
    systemctl start --no-block $NAME
    mend 'another program has left a pixel format that cannot be read (NV24)' 'camera /dev' true
}

unknown_format() {
    configure --fourcc H264
    systemctl restart --no-block $NAME
    wait_for logged 'H264|error'
    configure
    mend 'a pixel format is asked for that the camera has not (H264)' 'H264|error' systemctl restart --no-block $NAME
}

# Without the clock that the driver writes into its picture, which is the first thing to be taken for a target.
black() {
    pattern '100% Black'
    control osd_text_mode=2
    held=$(count)
    wait_for results $((held + 8))
    [ "$(restarts)" = "$before" ] || fail "it was started again"
    said='no message: results go on, '$(tail -n 1 $RESULTS | grep -o '"score": [0-9.]*')
    pattern '75% Colorbar'
    control osd_text_mode=0
    row 'black picture (for less than 10 s)' "$said" ''
}

frozen() {
    control osd_text_mode=2
    control horizontal_movement=3 2>/dev/null || true
    wait_for logged 'has not changed for'
    mend 'picture frozen (the same for 10 s)' 'has not changed' control osd_text_mode=0
}

busy() {
    systemctl stop $NAME
    v4l2-ctl -d $CAMERA --stream-mmap --stream-count=1000000 >/dev/null 2>&1 &
    other=$!
    sleep 2
    systemctl start --no-block $NAME
    wait_for logged 'busy|in use|error'
    mend 'camera busy: another program streams from it' 'busy|in use|error' kill $other
}

clock_forward() { jump '+1 year' 'clock put forward by a year'; }
clock_back() { jump '-1 year' 'clock put back by a year'; }

jump() {
    mend "$2" 'WARN|error|warning' date -s "$(date -d "$1" '+%F %T')"
    [ "$(restarts)" = "$before" ] || fail "it was started again"
}

# Of a run that has grown: a limit from the start would let it read its libraries again and again, not end it.
memory_limit() {
    systemctl set-property --runtime $NAME MemorySwapMax=0 MemoryMax=30M
    wait_for restarted $((before + 1))
    mend 'more memory than its limit (cgroup; 30 MB, then 600 MB again)' 'oom|killed|KILL' systemctl set-property --runtime $NAME MemoryMax=600M
}

hung_process() {
    mkdir -p $OVERRIDES
    printf '[Service]\nWatchdogSec=20\n' >$OVERRIDES/20-watchdog.conf
    systemctl daemon-reload
    systemctl restart --no-block $NAME
    held=$(count)
    wait_for results $((held + 3))
    before=$(restarts)
    kill -STOP "$(systemctl show $NAME -p MainPID --value)"
    wait_for restarted $((before + 1))
    rm $OVERRIDES/20-watchdog.conf
    systemctl daemon-reload
    mend 'process stopped (SIGSTOP), watchdog of 20 s' 'watchdog' true
}

stopped() {
    began=$(now)
    systemctl stop $NAME
    took=$(since "$began")
    row 'SIGTERM (systemctl stop)' "$(journal | grep -o '[0-9]* frames in .*' | tail -n 1)" "$took"
    systemctl start --no-block $NAME
    held=$(count)
    wait_for results $((held + 3))
}

# --- what they use

# Mends by a command, waits for new results, prints the row with the journal's line that matches.
mend() {
    fault=$1 words=$2
    shift 2
    began=$(now)
    held=$(count)
    "$@" >/dev/null || fail "$*"
    wait_for results $((held + 2))
    took=$(since "$began")
    again=$(($(restarts) - before))
    said=$(new_lines | grep -E -- "$words" | grep -v 'tail -n' | tail -n 1 | sed 's/|/\//g' || true)
    [ $again -le 0 ] || said="$said; started again $again times"
    row "$fault" "${said:-no message: results go on}" "$took"
}

# An emulated machine on a busy host is many times slower than a Pi: the unit's limits would end what only takes long.
make_patient() {
    mkdir -p $OVERRIDES
    printf '[Service]\nTimeoutStartSec=900\nWatchdogSec=600\n' >$OVERRIDES/10-patient.conf
}

row() { echo "| $1 | $2 | $3 |"; }

configure() {
    printf 'OPTIONS="--camera %s --model %s --jsonl %s --commit-interval 0 --frozen-after 10 --width 320 --height 180 --framerate 5 %s"\n' \
        $CAMERA "${MODEL:-fast}" $RESULTS "$*" >$CONF
}

plug_in() {
    modprobe vivid n_devs=1 node_types=0x1 no_error_inj=0
    udevadm settle
}

plug() {
    echo vivid.0 >$VIVID/bind
    udevadm settle
}

control() { v4l2-ctl -d $CAMERA -c "$1"; }

# The number of the test pattern, from the menu of this kernel.
pattern() { control test_pattern="$(v4l2-ctl -d $CAMERA --list-ctrls-menus | sed -n "s/^[\t ]*\([0-9]*\): $1\$/\1/p" | head -n 1)"; }

journal() { journalctl -u $NAME -o cat --no-pager; }
new_lines() { journal | tail -n +$((mark + 1)); }
logged() { new_lines | grep -Eq -- "$1"; }
count() { cat $RESULTS 2>/dev/null | wc -l; }
results() { [ "$(count)" -ge "$1" ]; }
restarts() { systemctl show $NAME -p NRestarts --value; }
restarted() { [ "$(restarts)" -ge "$1" ]; }
now() { cut -d' ' -f1 /proc/uptime; }
since() { echo "$(now) $1" | awk '{ printf "%.1f", $1 - $2 }'; }

# Waits by the machine's clock since it was started, which no jump alters.
wait_for() {
    until_s=$(now | awk -v wait="$WAIT_S" '{ print int($1) + wait }')
    until "$@" >/dev/null 2>&1; do
        [ "$(now | cut -d. -f1)" -lt "$until_s" ] || fail "waited $WAIT_S s for: $*"
        sleep 0.3
    done
}

fail() {
    echo "FAILED: ${fault:-}: $*"
    journal | tail -n 20
    exit 1
}

main "$@"
