#!/bin/sh
# A camera that sees something: the sample goes into the output of the kernel's virtual video device, which is looped
# back to its input. Prints the JSON lines of each set of options.
#
#   virtual_pi.py vm 'sh /mnt/checkout/deploy/virtual-pi/checks/targets.sh'
set -eu

SAMPLE=/mnt/checkout/runtime/data/demo.jpg
WIDTH=640 HEIGHT=480

main() {
    modprobe vivid n_devs=1 node_types=0x101 num_inputs=1 input_types=0x3 num_outputs=1 output_types=0x1 # both HDMI
    sleep 1
    for device in /dev/video0 /dev/video1; do v4l2-ctl -d $device --set-dv-bt-timings index=0 >/dev/null; done # VGA
    v4l2-ctl -d /dev/video0 -c loop_video=1 -c osd_text_mode=2
    /opt/stn-rectify/current/bin/python -c "
import cv2
frame = cv2.resize(cv2.imread('$SAMPLE'), ($WIDTH, $HEIGHT))
open('/tmp/frame.yuyv', 'wb').write(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_YUY2).tobytes())"
    v4l2-ctl -d /dev/video1 --set-fmt-video-out=width=$WIDTH,height=$HEIGHT,pixelformat=YUYV --stream-out-mmap \
        --stream-from=/tmp/frame.yuyv --stream-loop >/dev/null 2>&1 &
    player=$!
    sleep 2
    sees --model general --max-targets 4 --frames 3
    sees --model single --frames 2
    kill $player
    echo PASS
}

# A run has results, of which the last has a target with its four corners.
sees() {
    echo "$ stn-rectify --camera 0 $* --jsonl -"
    stn-rectify --camera 0 "$@" --jsonl - >/tmp/results
    cat /tmp/results
    /opt/stn-rectify/current/bin/python -c "
import json
result = json.loads(open('/tmp/results').read().splitlines()[-1])
targets = result.get('targets', [result])
assert targets and all(len(target['corners']) == 4 for target in targets), result"
}

main
