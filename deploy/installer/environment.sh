# shellcheck shell=sh disable=SC2154,SC2153,SC2015 # variables of install.sh; in "a && b || c", c is die
# The environment of one version: made, filled with wheels whose hashes are known, tested. install.sh reads this file.
#
# Every way goes the same road: pip collects the wheels in a folder of ours, from the network or from the given one;
# they are compared with requirements.txt; only then they are installed, from that folder.

# Makes the environment $home/versions/$new. Until the switch it is a left-over that the next run removes.
make_environment() {
    new=$(free_name "$(wanted_version)")
    environment=$home/versions/$new build=$home/.build
    python=$environment/bin/python
    mkdir -p "$home/versions" "$build/wheels"
    sed -n 's/^\([a-z].*\) \\$/\1/p' "$HERE/requirements.txt" >"$build/constraints.txt"
    say "making the environment $environment"
    if wants_system_packages; then set -- --system-site-packages; else set --; fi
    python3 -m venv --without-pip "$@" "$environment" || die "could not make $environment: see above"
    check_sums
    install_pip
    say "installing $requirement (some minutes on a Raspberry Pi)"
    if [ -d "$requirement" ]; then build_wheel; else own_wheel=$requirement; fi
    collect_wheels
    check_wheels "$build/wheels"/*.whl
    pip install --no-index --no-deps "$build/wheels"/*.whl || die "pip could not install these wheels: see above"
    copy_installer "$environment"
    replace_text "$(current_version)" "$environment/replaces"
}

wanted_version() {
    if [ -d "$requirement" ]; then
        sed -n 's/^version *= *//p' "$requirement/setup.cfg" | head -n 1
    else
        version=${requirement##*/stn_rectify-}
        echo "${version%%-*}"
    fi
}

# The same version again, from another checkout, gets an environment of its own.
free_name() {
    name=$1 number=2
    while [ -e "$home/versions/$name" ]; do
        name=$1-$number number=$((number + 1))
    done
    echo "$name"
}

# Asked for, or so in the version that runs.
wants_system_packages() {
    [ "$system_packages" = yes ] || grep -qsi '^include-system-site-packages = true' "$home/current/pyvenv.cfg"
}

pip() {
    command=$1
    shift
    "$python" -m pip "$command" --quiet --disable-pip-version-check --no-input "$@"
}

install_pip() {
    file=$(pip_wheel)
    if [ -n "$file" ]; then
        check_wheels "$file"
        "$python" "$file/pip" install --quiet --disable-pip-version-check --no-index --no-compile "$file"
    else
        "$python" -m ensurepip --default-pip >/dev/null
    fi || die "could not install pip into $environment: see above"
}

# Building in a checkout leaves files of root in it, and takes files of earlier builds from it.
build_wheel() {
    mkdir -p "$build/tools"
    if [ -z "$wheels" ]; then
        pip download -c "$build/constraints.txt" --no-deps --only-binary=:all: -d "$build/tools" setuptools ||
            die "pip could not get setuptools, which builds the wheel (see above): without network, use --wheels DIR"
        check_wheels "$build/tools"/*.whl
    fi
    set -- "$build/tools"/*.whl
    pip install --no-index --no-deps --target "$build/tools/python" "$@" &&
        PYTHONPATH=$build/tools/python "$python" "$requirement/deploy/build_wheel.py" "$build/own" --no-index --no-build-isolation ||
        die "pip could not build the wheel of $requirement: see above"
    set -- "$build/own"/stn_rectify-*.whl
    own_wheel=$1
}

# What the wheel needs, as it says itself, in the versions of requirements.txt.
collect_wheels() {
    set -- --only-binary=:all: -d "$build/wheels" "$own_wheel${extras:+[$extras]}"
    if [ -z "$wheels" ]; then
        pip download -c "$build/constraints.txt" "$@" ||
            die "pip could not get what stn-rectify needs (see above): without network, use --wheels DIR"
        return
    fi
    set -- --no-index --find-links "$wheels" "$@"
    pip download -c "$build/constraints.txt" "$@" 2>"$build/said" && return
    if [ "$hashes" = known ] && pip download "$@" 2>"$build/said"; then
        say "note: $wheels has other versions than those in $HERE/requirements.txt"
        return
    fi
    cat "$build/said" >&2
    die "pip could not find what stn-rectify needs in $wheels (see above): download_wheels.py makes a folder that is complete"
}

# Beside the wheels, where download_wheels.py made the folder.
check_sums() {
    [ -n "$wheels" ] && [ -f "$wheels/SHA256SUMS" ] || return 0
    (cd "$wheels" && sha256sum --quiet --strict -c SHA256SUMS >&2) ||
        die "$wheels is not as it was made (see above): copy it again"
}

# A wheel of a name and version in requirements.txt has to be one of the files there.
check_wheels() {
    unknown=''
    for file in "$@"; do
        wheel_name=$(echo "${file##*/}" | cut -d- -f1 | tr 'A-Z_.' 'a-z--')
        wheel_version=$(echo "${file##*/}" | cut -d- -f2)
        sum=$(sha256sum "$file" | cut -d' ' -f1)
        if [ "$wheel_name" = "$NAME" ] || grep -qF -- "--hash=sha256:$sum" "$HERE/requirements.txt"; then
            continue
        elif grep -qF -- "$wheel_name==$wheel_version ;" "$HERE/requirements.txt"; then
            die "${file##*/} is not the file that requirements.txt names (its SHA-256 is another): it was damaged or altered, get it again"
        fi
        unknown="$unknown ${file##*/}"
    done
    [ -n "$unknown" ] || return 0
    [ "$hashes" = known ] || die "not in requirements.txt, so of unknown content:$unknown"
    say "note: of unknown content, as requirements.txt does not name them:$unknown"
}

# It has to work here before it may run. What is wrong with the machine itself (a camera, the power supply) is said, and
# is no reason against this version.
self_test() {
    say "testing $environment"
    tested="$environment/bin/$NAME"
    if ! timeout 600 "$tested" doctor >"$build/said" 2>&1; then
        grep '^problem' "$build/said" >&2 || cat "$build/said" >&2
        grep -q '^problem' "$build/said" && ! grep '^problem' "$build/said" | grep -Evq '^problem +(cameras|throttling|disk):' ||
            failed_test doctor
    fi
    timeout 600 "$tested" --demo --save "$build/demo" >"$build/said" 2>&1 || {
        cat "$build/said" >&2
        failed_test "--demo"
    }
}

failed_test() {
    current=$(current_version)
    die "the new version fails its test ($NAME $1, see above): ${current:+$current runs on, }nothing was changed"
}
