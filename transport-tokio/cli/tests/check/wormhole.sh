#!/bin/sh
# How long one file takes from here to here: phantom against wormhole-rs, each through its own relay on this machine, in turn, in one run.
#
#   tests/check/wormhole.sh [MiB] [rounds]
#
# PHANTOM (phantom), WORMHOLE (wormhole-rs) and TWIST (twist) name the programs. Where they come from, if they are not there:
#
#   cargo install --locked magic-wormhole-cli
#   pip install magic-wormhole-transit-relay magic-wormhole-mailbox-server
#
# wormhole-rs is made to use its relay, as phantom always does. Measured is the time from the start of the receiver, when the sender
# waits, to the end of both; before each, the file is read once, so that it comes from memory for both. What arrives is compared.
set -eu

mib=${1:-1024}
rounds=${2:-3}
phantom=${PHANTOM:-phantom}
wormhole=${WORMHOLE:-wormhole-rs}
twist=${TWIST:-twist}
for program in "$phantom" "$wormhole" "$twist"; do
    command -v "$program" >/dev/null || { echo "wormhole.sh: there is no $program" >&2; exit 2; }
done
phantom=$(command -v "$phantom")
wormhole=$(command -v "$wormhole")
unset PHANTOM_RELAY PHANTOM_KEY
export LC_ALL=C XDG_CONFIG_HOME=/nonexistent

folder=$(mktemp -d)
started=
finish() {
    for process in $started; do kill "$process" 2>/dev/null || :; done
    wait 2>/dev/null || :
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until a file has a line with this in it, and prints the line.
line() {
    tail -n +1 -f "$1" 2>/dev/null | sed -n "/$2/{p;q;}"
}

now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{ printf "%.2f", $1 - $2 }'; }

head -c $((mib * 1048576)) /dev/urandom >"$folder/file"
mkdir "$folder/there"

"$phantom" relay --listen 127.0.0.1:0 >"$folder/relay" 2>&1 &
started="$started $!"
relay=$(line "$folder/relay" "ws:" | sed 's/.*\(ws:[^ ]*\).*/\1/')
"$twist" transitrelay --port=tcp:7311:interface=127.0.0.1 >"$folder/transit" 2>&1 &
started="$started $!"
"$twist" wormhole-mailbox --port=tcp:7310:interface=127.0.0.1 --channel-db="$folder/mailbox.sqlite" >"$folder/mailbox" 2>&1 &
started="$started $!"
line "$folder/transit" "starting on 7311" >/dev/null
line "$folder/mailbox" "starting on 7310" >/dev/null

# Ends a measurement that began at $2: says how long it took, and that what arrived is what was sent.
arrived() {
    taken=$(since "$2")
    cmp "$folder/file" "$folder/there/file"
    rm "$folder/there/file"
    echo "$taken" >>"$folder/$1.times"
    echo "$1: $taken s"
}

with_phantom() {
    : >"$folder/invitation"
    "$phantom" send "$folder/file" --relay "$relay" >"$folder/invitation" 2>/dev/null &
    sender=$!
    line "$folder/invitation" "phantom:" >"$folder/first"
    start=$(now)
    "$phantom" receive - --into "$folder/there" <"$folder/first" >/dev/null 2>&1
    wait "$sender"
    arrived phantom "$start"
}

with_wormhole() {
    code="$1-alpha-bravo-charlie"
    common="--rendezvous-server ws://127.0.0.1:7310/v1 --relay-server tcp://127.0.0.1:7311 --force-relay --no-color"
    : >"$folder/said"
    # shellcheck disable=SC2086
    "$wormhole" send --no-qr $common --code "$code" "$folder/file" </dev/null >"$folder/said" 2>&1 &
    sender=$!
    line "$folder/said" "$code" >/dev/null
    start=$(now)
    # shellcheck disable=SC2086
    (cd "$folder/there" && "$wormhole" receive $common --noconfirm "$code" </dev/null >"$folder/heard" 2>&1)
    wait "$sender"
    arrived wormhole-rs "$start"
}

round=1
while [ "$round" -le "$rounds" ]; do
    cat "$folder/file" >/dev/null
    with_phantom
    cat "$folder/file" >/dev/null
    with_wormhole "$((round + 6))"
    round=$((round + 1))
done

median() { sort -n "$folder/$1.times" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
ours=$(median phantom)
theirs=$(median wormhole-rs)
awk -v ours="$ours" -v theirs="$theirs" -v mib="$mib" 'BEGIN {
    printf "%d MiB, median: phantom %.2f s (%.0f MB/s), wormhole-rs %.2f s (%.0f MB/s); ratio %.2f\n",
        mib, ours, mib * 1.048576 / ours, theirs, mib * 1.048576 / theirs, theirs / ours
}'
