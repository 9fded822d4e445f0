#!/bin/sh
# Makes the pictures in this folder anew, from what the programs show in a real terminal.
#
#   transport-tokio/cli/docs/screens.sh
set -eu
cd "$(dirname "$0")"
PHANTOM_SCREENS=$PWD cargo test --release --quiet -p phantom-cli --test screens
ls -l ./*.svg
