#!/bin/sh
# Real programs through `phantom forward`: an ssh session and a file over it, and redis-benchmark.
#
#   tests/check/forward.sh [path of phantom]
#
# Needs sshd, ssh, ssh-keygen, redis-server and redis-benchmark. Everything listens on free ports of 127.0.0.1, with keys and settings
# of its own in a folder that is removed at the end. Says what went through; fails at the first thing that does not.
set -eu

phantom=${1:-phantom}
sshd=$(command -v sshd || echo /usr/sbin/sshd)
for program in "$phantom" "$sshd" ssh ssh-keygen redis-server redis-benchmark redis-cli; do
    command -v "$program" >/dev/null || { echo "forward.sh: there is no $program" >&2; exit 2; }
done
unset PHANTOM_RELAY PHANTOM_KEY
export LC_ALL=C

folder=$(mktemp -d)
started=
finish() {
    for process in $started; do kill "$process" 2>/dev/null || :; done
    wait
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until a file has a line with this in it, and prints the line; what a program says is the sign that it is ready.
line() {
    tail -n +1 -f "$1" 2>/dev/null | sed -n "/$2/{p;q;}"
}

# A port that was free a moment ago.
free_port() {
    : >"$folder/probe"
    "$phantom" relay --listen 127.0.0.1:0 >"$folder/probe" 2>/dev/null &
    line "$folder/probe" "listens on" | sed 's/.*listens on [^ ]*:\([0-9]*\)\..*/\1/'
    kill $! && wait $! || :
}

"$phantom" relay --listen 127.0.0.1:0 >"$folder/relay" 2>&1 &
started="$started $!"
relay=$(line "$folder/relay" "ws:" | sed 's/.*\(ws:[^ ]*\).*/\1/')

# forward NAME TARGET: sets `port` to where connections to the target are accepted.
forward() {
    : >"$folder/$1.host"; : >"$folder/$1.guest"
    "$phantom" forward --to "$2" --relay "$relay" >"$folder/$1.host" 2>"$folder/$1.log" &
    started="$started $!"
    line "$folder/$1.host" "phantom:" >"$folder/$1.invitation"
    "$phantom" forward --listen 0 - <"$folder/$1.invitation" >"$folder/$1.guest" 2>>"$folder/$1.log" &
    started="$started $!"
    port=$(line "$folder/$1.guest" "Connections to" | sed 's/.*:\([0-9]*\) go.*/\1/')
}

# An ssh server for whoever runs this, and for nobody else.
ssh-keygen -q -t ed25519 -N '' -f "$folder/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$folder/user_key"
cp "$folder/user_key.pub" "$folder/authorized_keys"
server=$(free_port)
cat >"$folder/sshd_config" <<END
ListenAddress 127.0.0.1:$server
HostKey $folder/host_key
AuthorizedKeysFile $folder/authorized_keys
PidFile none
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
END
if [ "$(id -u)" = 0 ]; then mkdir -p /run/sshd; fi
"$sshd" -D -e -f "$folder/sshd_config" 2>"$folder/sshd.log" &
started="$started $!"
line "$folder/sshd.log" "listening on" >/dev/null

forward ssh "127.0.0.1:$server"
shell() {
    ssh -q -F none -i "$folder/user_key" -p "$port" -o BatchMode=yes -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null "$@"
}
[ "$(shell 127.0.0.1 'echo there; cat' </dev/null)" = there ]
echo "ssh: a command ran on the other side"
[ "$(shell -tt 127.0.0.1 'tty >/dev/null && echo terminal' </dev/null | tr -d '\r')" = terminal ]
echo "ssh: an interactive session has a terminal"
head -c 33554432 /dev/urandom >"$folder/file"
shell 127.0.0.1 cat <"$folder/file" >"$folder/back"
cmp "$folder/file" "$folder/back"
echo "ssh: 32 MiB went there and came back the same"

server=$(free_port)
redis-server --port "$server" --bind 127.0.0.1 --save '' --appendonly no --dir "$folder" >"$folder/redis.log" &
started="$started $!"
line "$folder/redis.log" "Ready to accept" >/dev/null
forward redis "127.0.0.1:$server"
redis-benchmark -h 127.0.0.1 -p "$port" -c 50 -n 20000 -t set,get -q | tr '\r' '\n' | grep 'requests per second'
redis-benchmark -h 127.0.0.1 -p "$port" -c 20 -n 2000 -d 65536 -t set,get -q | tr '\r' '\n' | grep 'requests per second'
[ "$(redis-cli -p "$port" ping)" = PONG ]
echo "redis-benchmark: done"
