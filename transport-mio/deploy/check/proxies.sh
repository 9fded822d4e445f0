#!/bin/sh
# Runs the reverse proxies of this folder with their example configurations in front of a relay, and two real clients through each: a file
# is sent and received over TLS, and the relay must know the clients by their own address, not by the proxy's.
#
#     proxies.sh FOLDER [nginx|haproxy|caddy ...]
#
# FOLDER has the programs phantom and phantom-relay. A proxy that is not installed is a failure.
set -eu

programs=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- nginx haproxy caddy
examples=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
chmod 755 "$work"
port=18443
pids=

finish() {
    for pid in $pids; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in $pids; do
        wait "$pid" 2>/dev/null || true
    done
    pids=
}
trap 'finish; rm -rf "$work"' EXIT

fail() {
    echo "$proxy: $1" >&2
    [ ! -f "$work/log" ] || cat "$work/log" >&2
    exit 1
}

# A certificate for localhost, and the authority that the clients believe.
cd "$work"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=authority' \
    -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=localhost' \
    -keyout tls.key -out tls.csr 2>/dev/null
printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >extensions
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out tls.crt 2>/dev/null
cat tls.crt tls.key >tls.pem
head -c 3000000 /dev/urandom >file
export SSL_CERT_FILE="$work/ca.crt"

start_proxy() {
    sed -e "s#/etc/phantom-relay#$work#; s#/run/phantom-relay/socket#$work/socket#" \
        -e "s#:::443 v4v6#127.0.0.1:$port#; s#listen 443#listen 127.0.0.1:$port#; /listen \[::\]:443/d" \
        -e "s#^relay.example.org {#{\n\tadmin off\n\tauto_https disable_redirects\n}\nhttps://localhost:$port {\n\ttls $work/tls.crt $work/tls.key#" \
        -e "s#^worker_processes auto;#worker_processes 1;\npid $work/pid;\nerror_log $work/log;\nuser $(id -un);#" \
        -e "s#65536#1024#; s#131072#4096#" \
        "$examples/$1" >"$work/$1"
    case $proxy in
    nginx) nginx -c "$work/$1" -g 'daemon off;' >>log 2>&1 & ;;
    haproxy) haproxy -db -f "$work/$1" >>log 2>&1 & ;;
    caddy) XDG_DATA_HOME="$work" caddy run --config "$work/$1" >>log 2>&1 & ;;
    esac
    pids="$pids $!"
    answered=0
    curl --silent --insecure --output /dev/null --retry 40 --retry-delay 1 --retry-connrefused --max-time 60 "https://localhost:$port/" ||
        answered=$?
    # 52: it was there, and said nothing, since the relay said nothing.
    [ $answered = 0 ] || [ $answered = 52 ] || fail "does not answer"
}

# Starts a relay with these settings, and waits until it listens.
start_relay() {
    rm -f said
    mkfifo said
    "$programs/phantom-relay" --max-connections 500 --listen "unix:$work/socket" "$@" >said 2>>log &
    pids="$pids $!"
    read -r _ <said || fail "the relay does not start"
}

send_and_receive() {
    rm -rf invitation received
    mkfifo invitation
    timeout 20 "$programs/phantom" send file --relay "wss://localhost:$port" >invitation 2>>log &
    sender=$!
    pids="$pids $sender"
    exec 3<invitation
    read -r line <&3 || return 1
    "$programs/phantom" receive "$line" --output received >>log 2>&1 || return 1
    wait "$sender" || return 1
    cmp file received
}

for proxy in "$@"; do
    command -v "$proxy" >/dev/null || fail "is not installed"
    case $proxy in
    nginx) config=nginx.conf source=x-forwarded-for ;;
    haproxy) config=haproxy.cfg source=proxy-protocol ;;
    caddy) config=Caddyfile source=x-forwarded-for ;;
    *) fail "is none of nginx, haproxy, caddy" ;;
    esac
    : >log
    start_relay --client-address "$source"
    start_proxy "$config"
    send_and_receive || fail "a file does not come through"
    finish

    # All clients of this script come from this machine; a relay that knows that lets none of them in.
    start_relay --client-address "$source" --deny 127.0.0.1,::1
    start_proxy "$config"
    if send_and_receive; then
        fail "the relay does not know where its clients come from"
    fi
    finish
    echo "$proxy: a file came through $config, and the relay knew where its clients were"
done
