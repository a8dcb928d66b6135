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

# build STYLES STYLESHEET: compile a file of Tailwind
build() {
    node_modules/.bin/tailwindcss --input "$1" --output "$made/plain.css" > "$made/log" 2>&1 ||
        { cat "$made/log" >&2; exit 1; }
    node_modules/.bin/esbuild "$made/plain.css" --minify --log-level=error \
        --outfile="$made/made.css"
    put "$made/made.css" "$2"
    [ "$mode" = "--check" ] ||
        echo "$2: $(wc -c < "$2" | tr -d ' ') bytes, $(gzip -9 -c "$2" | wc -c | tr -d ' ') compressed."
}

# draw MACROS LIST...: the macro with the icons of all lists
draw() {
    macros=$1
    shift
    node assets/icons.mjs "$@" > "$made/icons.html"
    put "$made/icons.html" "$macros"
}

put() {
    if [ "$mode" = "--check" ]; then
        cmp "$1" "$2" || { echo "$2 is not current. Run: make css" >&2; exit 1; }
    else
        mkdir -p "$(dirname "$2")"
        cmp -s "$1" "$2" || cp "$1" "$2"
    fi
}

draw templates/macros/icons.html assets/icons.txt
build assets/app.css saas/static/css/app.css
draw sandbox/saas_sandbox/templates/icons.html sandbox/assets/icons.txt
build sandbox/assets/sandbox.css sandbox/saas_sandbox/static/sandbox.css
# The product's own, which replace the starter's by their paths.
build assets/product.css product/static/css/app.css
[ ! -f product/icons.txt ] || draw product/templates/macros/icons.html assets/icons.txt product/icons.txt
[ "$mode" != "--check" ] || echo "The compiled CSS and the icons are current."
