#!/bin/bash
# Answers as `curl` would from files below $FORGE, and keeps there what it is told to write.
set -eu
method=GET data= endpoint=
while [ $# -gt 0 ]; do
  case "$1" in
    --request) method="$2"; shift ;;
    --data) data="${2#@}"; shift ;;
    --header)
      case "$2" in @*) grep -qx "PRIVATE-TOKEN: note-token" "${2#@}" ;; esac
      shift ;;
    --output) shift ;;
    --fail | --silent | --show-error) ;;
    *) endpoint="$1" ;;
  esac
  shift
done
if [ "$method" = GET ]; then
  exec cat "$FORGE/$(sed 's|.*/api/v4/||; s|?.*||' <<< "$endpoint" | tr / _).json"
fi
echo "$method $endpoint" >> "$FORGE/written"
jq --raw-output .body "$data" > "$FORGE/body"
