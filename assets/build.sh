#!/bin/sh
# Builds what the pages of the application and of the sandbox need: icons and stylesheets.
#
#   assets/build.sh            writes the files
#   assets/build.sh --check    fails when a committed file differs from what would be built
#
# Tailwind's own --minify does not give the same bytes every time, so it builds plain and esbuild
# makes it small.
set -eu

cd "$(dirname "$0")/.."

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
mode=${1:-}

# build SOURCES ICONS STYLESHEET: from icons.txt and the named CSS file of a folder
build() {
    node assets/icons.mjs "$(dirname "$1")/icons.txt" > "$made/icons.html"
    node_modules/.bin/tailwindcss --input "$1" --output "$made/plain.css" > "$made/log" 2>&1 ||
        { cat "$made/log" >&2; exit 1; }
    node_modules/.bin/esbuild "$made/plain.css" --minify --log-level=error \
        --outfile="$made/made.css"
    if [ "$mode" = "--check" ]; then
        cmp "$made/icons.html" "$2"
        cmp "$made/made.css" "$3"
        return
    fi
    cmp -s "$made/icons.html" "$2" || cp "$made/icons.html" "$2"
    cp "$made/made.css" "$3"
    echo "$3: $(wc -c < "$3" | tr -d ' ') bytes, $(gzip -9 -c "$3" | wc -c | tr -d ' ') compressed."
}

build assets/app.css templates/macros/icons.html saas/static/css/app.css
build sandbox/assets/sandbox.css sandbox/saas_sandbox/templates/icons.html \
    sandbox/saas_sandbox/static/sandbox.css
[ "$mode" != "--check" ] || echo "The compiled CSS and the icons are current."
