#!/bin/sh
# Builds what the pages need from assets/: the icons macro and the compiled CSS.
#
#   assets/build.sh            writes templates/macros/icons.html and saas/static/css/app.css
#   assets/build.sh --check    fails when a committed file differs from what would be built
#
# Tailwind's own --minify does not give the same bytes every time, so it builds plain and esbuild
# makes it small.
set -eu

cd "$(dirname "$0")/.."
icons=templates/macros/icons.html
css=saas/static/css/app.css

if ! command -v node > /dev/null; then
    echo "Node is not installed; only building the CSS needs it, running the app does not." >&2
    # On a machine of one's own a comparison that cannot be made is no failure; in CI it is.
    [ "${1:-}" = "--check" ] && [ -z "${CI:-}" ] && exit 0
    exit 1
fi
if ! assets/installed.sh; then
    npm install --no-package-lock --no-audit --no-fund --loglevel=error
fi

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

node assets/icons.mjs > "$made/icons.html"
if [ "${1:-}" = "--check" ]; then
    cmp "$made/icons.html" "$icons"
else
    mkdir -p "$(dirname "$icons")" "$(dirname "$css")"
    cmp -s "$made/icons.html" "$icons" || cp "$made/icons.html" "$icons"
fi

node_modules/.bin/tailwindcss --input assets/app.css --output "$made/plain.css" > "$made/log" 2>&1 ||
    { cat "$made/log" >&2; exit 1; }
node_modules/.bin/esbuild "$made/plain.css" --minify --log-level=error \
    --outfile="$made/app.css"

if [ "${1:-}" = "--check" ]; then
    cmp "$made/app.css" "$css"
    echo "The compiled CSS and the icons are current."
else
    cp "$made/app.css" "$css"
    echo "$css: $(wc -c < "$css" | tr -d ' ') bytes, $(gzip -9 -c "$css" | wc -c | tr -d ' ') compressed."
fi
