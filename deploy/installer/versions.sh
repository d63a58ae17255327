# shellcheck shell=sh disable=SC2154,SC2153 # variables of install.sh
# Which version runs. install.sh reads this file.
#
#   $home/versions/NAME/          one environment per version; "replaces" in it names the one that ran before it
#   $home/current                 a link to the one that runs, the only thing that a change of version changes
#   $home/bin/stn-rectify         leads through current; what the service starts
#
# A link is replaced by rename(2): whenever the installer is killed, the old or the new version runs. Whatever current
# and its "replaces" do not name is a left-over, and the next run removes it.

current_version() {
    name=$(readlink "$home/current" 2>/dev/null) || return 0
    [ ! -e "$home/current/bin/$NAME" ] || echo "${name##*/}"
}

# The one that rollback takes; nothing if there is none.
version_before() {
    name=$(cat "$home/current/replaces" 2>/dev/null) || return 0
    [ -z "$name" ] || [ "$name" = "$(current_version)" ] || [ ! -e "$home/versions/$name/bin/$NAME" ] || echo "$name"
}

# One installer at a time. What a killed one has started (pip, say) holds the lock until it ends.
lock_installation() {
    check_writable "$home"
    exec 9>"$home/.lock"
    flock -n 9 && return
    say "another installer is at work here, or what a killed one has started: waiting for its end"
    flock -w 900 9 || die "it has not ended for 15 minutes: see  fuser -v $home/.lock"
}

# Left-overs of runs that were killed, versions older than the last two, and what an installer of before has left.
clear_away() {
    rm -rf "$home/.build" "$home/current.new" "$home"/bin/*.new
    current=$(current_version) before=$(version_before)
    for path in "$home"/versions/*; do
        case ${path##*/} in
            "*" | "$current" | "$before") ;;
            *) is_in_use "${path##*/}" || rm -rf "$path" ;;
        esac
    done
    [ -L "$home/bin/$NAME" ] && [ -n "$current" ] || return 0
    rm -rf "${home:?}/lib" "${home:?}/lib64" "$home/include" "$home/share" "$home/pyvenv.cfg"
    for path in "$home"/bin/*; do
        case ${path##*/} in
            "$NAME" | "$NAME-install" | python) ;;
            *) rm -rf "$path" ;;
        esac
    done
}

# A process runs in it, as the service does after installs with --no-start: one of its words begins so, and none of
# grep's own, whose pattern begins with ^. Another installation on this machine, below another --root, is none of ours.
is_in_use() { grep -qsz "^$(printf %s "$home/versions/$1/bin/" | sed 's/[][\.*^$]/\\&/g')" /proc/[0-9]*/cmdline; }

# Installers up to 0.1.0 made one environment, in $home itself. It becomes a version, which can be rolled back to; until
# the link in bin/ is there, it runs where it always was.
take_over_old_layout() {
    [ -e "$home/pyvenv.cfg" ] && [ ! -L "$home/bin/$NAME" ] && [ -z "$(current_version)" ] || return 0
    said=$("$home/bin/$NAME" --version 2>/dev/null) || {
        say "what is installed in $home does not run: it is replaced"
        return 0
    }
    old=$(echo "$said" | sed -n "s/^$NAME \([0-9][^ ]*\).*/\1/p")
    old=${old:-old}
    say "taking over the version $old that is installed in $home"
    environment=$home/versions/$old
    mkdir -p "$environment"
    for part in bin lib lib64 include share pyvenv.cfg; do
        [ ! -e "$home/$part" ] || cp -al "$home/$part" "$environment/" 2>/dev/null ||
            { rm -rf "${environment:?}/$part" && cp -a "$home/$part" "$environment/"; } || die "could not copy $home/$part: see above"
    done
    rm -f "$environment/bin/$NAME-install"
    for path in "$environment"/bin/*; do
        # sed makes a new file: the old one, which is the same on the disk, stays as it is.
        [ -L "$path" ] || ! grep -qsF "$home/bin/" "$path" || sed -i "1,3s|$home/bin/|$environment/bin/|" "$path"
    done
    if "$environment/bin/$NAME" --version >/dev/null 2>&1; then
        copy_installer "$environment"
        switch_to "$old"
    else
        say "it does not run in $environment: it is replaced, and cannot be rolled back to"
        rm -rf "$environment"
    fi
}

# The installer goes with its version, so that rollback brings the unit that fits.
copy_installer() {
    mkdir -p "$1/share/$NAME"
    cp -R "$HERE/install.sh" "$HERE/installer" "$HERE/requirements.txt" "$HERE"/*.service "$HERE"/*.conf "$1/share/$NAME/"
}

# The one moment at which another version runs. All that a full disk may refuse is written before it.
switch_to() {
    mkdir -p "$home/bin"
    ln -sfT "versions/$1" "$home/current.new"
    ln -sfT "../current/bin/$NAME" "$home/bin/$NAME.new"
    ln -sfT "../current/share/$NAME/install.sh" "$home/bin/$NAME-install.new"
    # Not a link, through which Python would not see that it is in an environment.
    printf '#!/bin/sh\nexec "%s/current/bin/python" "$@"\n' "$home" >"$home/bin/python.new"
    chmod 755 "$home/bin/python.new"
    sync -f "$home"
    mv -fT "$home/current.new" "$home/current"
    for file in "$NAME" "$NAME-install" python; do
        mv -fT "$home/bin/$file.new" "$home/bin/$file"
    done
    sync -f "$home"
}

rollback() {
    [ -n "$root" ] || need_root
    [ -d "$home" ] || die "nothing is installed in $home"
    lock_installation
    current=$(current_version) before=$(version_before)
    [ -n "$before" ] || die "there is no version before ${current:-this one} to go back to"
    said=$("$home/versions/$before/bin/$NAME" --version) ||
        die "the version before, $before, does not run (see above): $current stays"
    replace_text "$current" "$home/versions/$before/replaces"
    # The unit first: that of an older version asks no more of a newer one than it can do.
    HERE=$home/versions/$before/share/$NAME
    [ ! -e "$HERE/$NAME.service" ] || install_files
    switch_to "$before"
    [ -n "$root" ] || enable_service
    say "went back from $current to $before: $said"
    if [ -z "$root" ] && [ "$start" = yes ]; then start_service; fi
}

replace_text() {
    printf '%s\n' "$1" >"$2.new"
    mv -fT "$2.new" "$2"
}

list_versions() {
    current=$(current_version) before=$(version_before)
    [ -n "$current" ] || die "nothing is installed in $home"
    echo "$current runs"
    [ -z "$before" ] || echo "$before ran before it: $NAME-install rollback takes it"
}
