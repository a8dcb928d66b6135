#!/bin/bash
# Tries deploy/debian in a clean Debian root: install, release, a request through nginx, a release
# during requests, a broken release, rollback, backup and restore. Run it as root: make try-debian
#
#   SUITE=trixie        another version of Debian (default: bookworm)
#   DEBIAN_ROOT=FOLDER  a root that debootstrap made, to copy instead of making one
set -euo pipefail
cd "$(dirname "$0")/../.."

HOST=app.example.test
SUITE=${SUITE:-bookworm}

main() {
    [ "$(id -u)" = 0 ] || fail "Run this as root: it makes a root file system and changes into it."
    for port in 80 443 5000; do
        if (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then fail "Port $port is in use."; fi
    done
    root=$(mktemp -d)
    trap clean_up EXIT
    say "a Debian root ($SUITE)" && make_root
    say "the project in a repository" && make_repository
    say "install, twice" && try_install
    say "a release without settings" && try_incomplete_settings
    say "units" && check_units
    say "the first release" && try_first_release
    say "a release during requests" && try_release_during_requests
    say "a broken release" && try_broken_release
    say "rollback" && try_rollback
    say "backup and restore" && try_backup
    say "done"
}

make_root() {
    if [ -n "${DEBIAN_ROOT:-}" ]; then
        cp -a "$DEBIAN_ROOT/." "$root"
    else
        debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$root" "$(mirror)" > /dev/null
    fi
    # The network and the certificates of this machine; packages start no services.
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/dev/shm"
    inside update-ca-certificates > /dev/null 2>&1
}

# The mirror that this machine uses.
mirror() {
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
        head -n 1
}

make_repository() {
    commit=$(git stash create)
    git init -q --bare -b main "$root/project.git"
    git push -q "$root/project.git" "${commit:-HEAD}:refs/heads/main"
    git clone -q "$root/project.git" "$root/clone"
}

try_install() {
    inside /clone/deploy/debian/install "$HOST" /project.git > "$root/install.log" 2>&1 ||
        { tail -n 30 "$root/install.log" && fail "The installation failed."; }
    before=$(cat "$root/etc/saas/saas.env")
    inside /clone/deploy/debian/install "$HOST" /project.git >> "$root/install.log" 2>&1
    [ "$(cat "$root/etc/saas/saas.env")" = "$before" ] || fail "The second run changed the settings."
    expect "SECRET_KEY=....................." "$root/etc/saas/saas.env"
    expect "APP_URL=https://$HOST" "$root/etc/saas/saas.env"
    inside chown -R saas /project.git # Git reads only repositories of the same user
}

# Every missing setting is named before anything is switched; then give it a value.
try_incomplete_settings() {
    sed -i -e 's/^STRIPE_API_KEY=/&sk_live_trial/' -e 's/^EMAIL_FROM=/&hello@example.test/' \
        -e 's/^SMTP_URL=/&smtp:\/\/127.0.0.1:9/' "$root/etc/saas/saas.env"
    if release > "$root/release.log" 2>&1; then fail "It was released with incomplete settings."; fi
    expect "STRIPE_WEBHOOK_SECRET: is required" "$root/release.log"
    [ ! -e "$root/srv/saas/current" ] || fail "It was switched on with incomplete settings."
    sed -i 's/^STRIPE_WEBHOOK_SECRET=.*/STRIPE_WEBHOOK_SECRET=whsec_0123456789abcdefghijklmnopqrstuv/' \
        "$root/etc/saas/saas.env"
    sed -n 's/^\(STRIPE_[A-Z_]*_PRICE_ID\): is required.*/\1/p' "$root/release.log" |
        while read -r name; do echo "$name=price_${name,,}"; done >> "$root/etc/saas/saas.env"
}

check_units() {
    inside apt-get install -y -qq --no-install-recommends systemd > "$root/install.log" 2>&1
    inside ln -sfn "$(inside sh -c 'echo /srv/saas/releases/*')" /srv/saas/current # units name it
    inside systemd-analyze verify --man=no saas-web.socket saas-web.service saas-worker.service \
        > "$root/units.log" 2>&1 || true
    ! grep "saas-" "$root/units.log" || fail "systemd reports problems of the units."
    # 0 is safest, 100 most exposed.
    inside systemd-analyze security --offline=true --threshold=30 --no-pager \
        /etc/systemd/system/saas-web.service /etc/systemd/system/saas-worker.service \
        > "$root/units.log" 2>&1 || { cat "$root/units.log" && fail "The services are too exposed."; }
    grep "exposure level" "$root/units.log"
    inside rm /srv/saas/current
}

try_first_release() {
    cp "$root/clone/tests/deploy/units.py" "$root/units.py"
    printf '#!/bin/sh\nexec python3 /units.py restart\n' > "$root/usr/local/bin/restart-units"
    chmod +x "$root/usr/local/bin/restart-units"
    chroot "$root" python3 /units.py serve > "$root/services.log" 2>&1 &
    services=$!
    release > "$root/release.log" 2>&1 || show_logs "The first release failed."
    expect "Released " "$root/release.log"
    # Loopback only, and no IPv6 where there is none.
    sed -i 's/listen \(443\|80\)/listen 127.0.0.1:\1/' "$root/etc/nginx/sites-available/saas"
    inside nginx
    shows /healthz alive || show_logs "nginx does not reach the application."
    shows /pricing "<h1" || show_logs "The pricing page has no heading."
    [ "$(curl -s -o /dev/null -w '%{http_code} %{redirect_url}' --resolve "$HOST:80:127.0.0.1" \
        "http://$HOST/login")" = "308 https://$HOST/login" ] || fail "http is not redirected."
    for _ in $(seq 30); do
        inside saas flask check > "$root/check.log" 2>&1 || show_logs "flask check reports problems."
        grep -q "No worker has run" "$root/check.log" || return 0
        sleep 1
    done
    show_logs "The worker does not run."
}

try_release_during_requests() {
    change 's/^name = .*/name = "Second Edition"/' product/brand.toml
    while [ ! -e "$root/stop" ]; do
        fetch /pricing > /dev/null || echo "$?" >> "$root/lost"
        echo >> "$root/sent"
    done &
    requests=$!
    release > "$root/release.log" 2>&1 || show_logs "The second release failed."
    touch "$root/stop" && wait "$requests"
    [ ! -e "$root/lost" ] || show_logs "$(wc -l < "$root/lost") requests were lost."
    echo "  $(wc -l < "$root/sent") requests, none was lost"
    shows /pricing "Second Edition" || fail "The second release is not served."
}

try_broken_release() {
    change '1i raise SystemExit("this release is broken")' gunicorn.conf.py
    if release > "$root/release.log" 2>&1; then fail "The broken release succeeded."; fi
    expect "again" "$root/release.log"
    shows /pricing "Second Edition" || show_logs "The earlier release is not served."
}

try_rollback() {
    inside env SAAS_RESTART=restart-units /clone/deploy/debian/release --rollback > "$root/release.log" 2>&1 ||
        show_logs "The rollback failed."
    expect "Rolled back" "$root/release.log"
    ! shows /pricing "Second Edition" || fail "The first release is not served."
}

try_backup() {
    inside saas flask users create ann@example.com > /dev/null
    inside saas deploy/backup /var/lib/saas/trial.dump > "$root/release.log" 2>&1 || show_logs "No backup."
    inside runuser -u postgres -- createdb --owner=saas restored
    restored="postgresql:///restored?host=/var/run/postgresql"
    inside saas env "DATABASE_URL=$restored" deploy/restore /var/lib/saas/trial.dump \
        > "$root/release.log" 2>&1 || show_logs "The backup could not be restored."
    [[ "$(inside saas env "DATABASE_URL=$restored" flask users list)" == *ann@example.com* ]] ||
        fail "The restored database has no users."
}

inside() { chroot "$root" "$@"; }

release() { inside env SAAS_RESTART=restart-units /clone/deploy/debian/release; }

fetch() { curl -fsSk --max-time 60 --resolve "$HOST:443:127.0.0.1" "https://$HOST$1"; }

shows() { [[ "$(fetch "$1")" == *"$2"* ]]; }

# Commit a change and push it.
change() {
    sed -i "$1" "$root/clone/$2"
    git -C "$root/clone" -c user.name=Trial -c user.email=trial@example.test commit -qam "Try a change"
    inside chown -R root /project.git
    git -C "$root/clone" push -q "$root/project.git" HEAD:main
    inside chown -R saas /project.git
}

say() { echo "--- $*"; }

fail() {
    echo "$*" >&2
    exit 1
}

expect() { grep -q "$1" "$2" || { cat "$2" && fail "$2 does not contain: $1"; }; }

show_logs() {
    tail -n 40 "$root/release.log" "$root/services.log" "$root/check.log" \
        "$root/var/log/nginx/error.log" 2> /dev/null
    fail "$1"
}

clean_up() {
    touch "$root/stop"
    [ ! -s "$root/run/nginx.pid" ] || kill "$(cat "$root/run/nginx.pid")" || true
    [ -z "${services:-}" ] || kill "$services" 2> /dev/null || true
    if [ -e "$root/usr/bin/pg_lsclusters" ]; then
        inside pg_lsclusters -h | while read -r version name _; do
            inside pg_ctlcluster -m immediate "$version" "$name" stop || true
        done
    fi
    wait
    umount "$root/proc" "$root/dev/shm" || true
    rm -rf --one-file-system "$root"
}

main "$@"
