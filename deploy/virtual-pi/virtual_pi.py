#!/usr/bin/env python3
"""An emulated Raspberry Pi on an x86-64 Debian 12: arm64 programs one by one, or a whole machine with a camera.

    sudo ./virtual_pi.py setup                                  # once, and after changes of this checkout
    ./virtual_pi.py run --core pi5 -- -m stn_rectify.runtime.command.cli --demo --save out/
    ./virtual_pi.py count -- tests/benchmarks/speed/marked_frames.py --model general
    ./virtual_pi.py vm --systemd 'modprobe vivid n_devs=1 node_types=0x1; stn-rectify --camera 0 --frames 5 --jsonl -'

README.md beside this file says what that shows, and what not. Needs Python's standard library and pip.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from emulation import installations, machine, packages, power_cuts, root, user_mode
from emulation.place import CHECKOUT, CORES, HERE, Place, VirtualPiError

_CHECKS = f"sh /mnt/checkout/{(HERE / 'checks').relative_to(CHECKOUT)}"


def main() -> int:
    """Runs the command; returns its exit status."""
    options = _parser().parse_args()
    try:
        return int(options.command(Place(options.folder), options))
    except VirtualPiError as error:
        print(f"virtual_pi.py: error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0],
        epilog="README.md beside this file has examples, and says what the emulation shows and what not.",
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR",
        help="holds what was downloaded and made ($STN_RECTIFY_VIRTUAL_PI, or ~/.cache/stn-rectify-virtual-pi)",
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("setup", help="make root file system and image, with this checkout installed (root)")
    add.set_defaults(command=_setup)
    add = commands.add_parser("lock", help="resolve debian-packages.txt anew, with today's packages")
    add.set_defaults(command=_lock)
    add = commands.add_parser("ready", help="say in one line what is missing; status 1 then")
    add.add_argument("what", choices=("run", "count", "vm", "camera-faults", "installation", "power-cuts"))
    add.set_defaults(command=_ready)

    for name, about in (("run", "run Python on a core"), ("count", "the same, and count instructions between marks")):
        add = commands.add_parser(name, help=about)
        add.add_argument("--core", choices=CORES, default="pi4", help="of which machine (pi4)")
        add.add_argument("--litert", action="store_true", help="ai-edge-litert in place of tflite-runtime")
        add.add_argument("words", nargs="*", metavar="-- SCRIPT [ARG]...", help="Python's arguments, as -m MODULE")
        add.set_defaults(command=_run if name == "run" else _count)

    add = commands.add_parser("vm", help="run a shell's command in a whole machine")
    _add_machine_options(add)
    add.add_argument("--systemd", action="store_true", help="under systemd, with udev and journal")
    add.add_argument("--share", type=Path, metavar="DIR", help="a folder, seen and written to as /mnt/host")
    add.add_argument("--console", action="store_true", help="print the console, too")
    add.add_argument("line", metavar="COMMAND")
    add.set_defaults(command=_vm)

    add = commands.add_parser("camera-faults", help="the service, and a camera that fails in every way (a table)")
    _add_machine_options(add)
    _add_wait(add)
    add.add_argument("faults", nargs="*", metavar="FAULT", help="which (all)")
    add.set_defaults(command=_camera_faults)

    add = commands.add_parser(
        "installation", help="from an empty card to the service, an upgrade, and back, by the words of the README"
    )
    _add_machine_options(add)
    _add_wait(add)
    add.add_argument("parts", nargs="*", metavar="PART", help="which (all)")
    add.set_defaults(command=_installation)

    add = commands.add_parser(
        "power-cuts", help="kill the machine while it writes, and look what the disk holds (root)"
    )
    _add_machine_options(add)
    add.add_argument("--count", type=int, default=20, metavar="N", help="how often (20)")
    add.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (0)")
    add.add_argument(
        "--longest", type=float, default=12.0, metavar="S", help="the latest moment, more on a busy host (12)"
    )
    add.set_defaults(command=_power_cuts)
    return parser


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--core", choices=CORES, default="pi4", help="of which machine (pi4)")
    parser.add_argument("--memory", type=int, default=2048, metavar="MB", help="of the machine (2048)")
    parser.add_argument("--limit", type=float, default=900.0, metavar="S", help="longest time it may take (900)")


def _add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", type=float, default=600.0, metavar="S", help="longest wait for one thing in it (600)")


def _setup(place: Place, options: argparse.Namespace) -> int:
    root.set_up(place)
    return 0


def _lock(place: Place, options: argparse.Namespace) -> int:
    print(f"{packages.lock()} packages in {packages.LIST}")
    return 0


def _ready(place: Place, options: argparse.Namespace) -> int:
    place.need(options.what)
    place.need_setup(*(() if options.what in ("run", "count") else (place.image, place.kernel, place.initrd)))
    print("ready")
    return 0


def _run(place: Place, options: argparse.Namespace) -> int:
    return user_mode.run(place, options.core, options.words, litert=options.litert)


def _count(place: Place, options: argparse.Namespace) -> int:
    status, marks = user_mode.count(place, options.core, options.words, litert=options.litert)
    for first, last in pairwise(marks):
        name = "the end" if last.number < 0 else f"mark {last.number}"
        dots = last.dot_products - first.dot_products
        print(
            f"from mark {first.number} to {name}: {last.instructions - first.instructions} instructions"
            + (f", {dots} of them int8 dot products" if dots else "")
        )
    return status


def _vm(place: Place, options: argparse.Namespace) -> int:
    made = machine.Settings(core=options.core, memory_mb=options.memory, systemd=options.systemd, share=options.share)
    return _told(machine.run(place, options.line, made, limit_s=options.limit), console=options.console)


def _camera_faults(place: Place, options: argparse.Namespace) -> int:
    made = machine.Settings(core=options.core, memory_mb=options.memory, systemd=True)
    line = f"WAIT_S={options.wait:.0f} {_CHECKS}/camera_faults.sh {' '.join(options.faults)}"
    return _told(machine.run(place, line, made, limit_s=options.limit))


def _installation(place: Place, options: argparse.Namespace) -> int:
    place.need_setup(place.image, place.wheels)
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        installations.lay_out(place, Path(folder))
        made = machine.Settings(core=options.core, memory_mb=options.memory, systemd=True, share=Path(folder))
        line = f"WAIT_S={options.wait:.0f} {_CHECKS}/installation.sh {' '.join(options.parts)}"
        return _told(machine.run(place, line, made, limit_s=options.limit))


def _power_cuts(place: Place, options: argparse.Namespace) -> int:
    made = machine.Settings(core=options.core, memory_mb=options.memory)
    return power_cuts.check(
        place, made, count=options.count, seed=options.seed, longest_s=options.longest, limit_s=options.limit
    )


def _told(outcome: machine.Outcome, *, console: bool = False) -> int:
    if console or outcome.status in (124, 125):
        print(outcome.console[-20_000:], file=sys.stderr)
    sys.stdout.write(outcome.stdout)
    sys.stderr.write(outcome.stderr)
    why = {124: ": the limit passed", 125: ": the machine ended before"}.get(outcome.status, "")
    print(
        f"virtual_pi.py: {outcome.took_s:.0f} s, {outcome.booted_s:.0f} of them to start; status {outcome.status}{why}",
        file=sys.stderr,
    )
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
