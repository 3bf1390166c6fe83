#!/bin/bash
# Answers as `gh` would from files below $FORGE, and keeps there what it is told to write.
set -eu
if [ "$1 $2" = "run download" ]; then
  while [ $# -gt 0 ]; do
    if [ "$1" = --dir ]; then mkdir -p "$2"; cp -RP "$FORGE/artifact/." "$2"; exit; fi
    shift
  done
fi
[ "$1" = api ]; shift
method=GET filter=. body= endpoint=
while [ $# -gt 0 ]; do
  case "$1" in
    --method) method="$2"; shift ;;
    --jq) filter="$2"; shift ;;
    -F) body="${2#body=@}"; shift ;;
    --silent | --paginate) ;;
    *) endpoint="$1" ;;
  esac
  shift
done
if [ "$method" = GET ]; then
  exec jq --raw-output "$filter" "$FORGE/$(tr / _ <<< "$endpoint").json"
fi
echo "$method $endpoint" >> "$FORGE/written"
cp "$body" "$FORGE/body"
