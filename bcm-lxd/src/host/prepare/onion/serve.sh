# For prepare.sh: SSH as an onion service that only authorised clients find.
serve_onion() {
    service=/var/lib/tor/bcm-ssh
    # The service is never there without a client's key, for then anybody could connect.
    auth=$service/authorized_clients/bcm.auth
    line="descriptor:x25519:$onion_client"
    tor_changed=no
    client=new
    if [ -e "$auth" ]; then
        if [ "$(cat "$auth")" = "$line" ]; then
            client=same
        elif [ -e "$notes/onion-given" ] && [ "$onion_rotate" = no ]; then
            client=kept
        fi
    fi
    if [ "$client" = new ] && todo "let one client's key open the onion service"; then
        note "onion $service"
        rm -f "$notes/onion-given"
        install -d -m 700 -o debian-tor -g debian-tor "$service" "${auth%/*}"
        install -m 600 -o debian-tor -g debian-tor /dev/null "$auth.new"
        printf '%s\n' "$line" >"$auth.new"
        mv "$auth.new" "$auth"
        tor_changed=yes
    fi
    if [ "$dry" = no ] && [ "$onion_given" = yes ] && [ "$client" != kept ]; then : >"$notes/onion-given"; fi

    # Where sshd listens.
    target=$(sshd -T 2>/dev/null | sed -n 's/^listenaddress //p' | sed 's/^0\.0\.0\.0:/127.0.0.1:/; s/^\[::\]:/127.0.0.1:/' | sort | head -n 1)
    content="HiddenServiceDir $service/
HiddenServicePort 22 ${target:-127.0.0.1:22}"
    # Nobody on the machine asked for a proxy, if Tor came with this.
    if grep -qxF tor "$notes/packages" 2>/dev/null && ! tor_without ssh | grep -qi '^[[:space:]]*SocksPort'; then
        content="SocksPort 0
$content"
    fi
    if ! tor_has ssh "$content" && todo "serve SSH as an onion service by Tor"; then
        note "torrc ssh"
        tor_set ssh "$content"
        tor_changed=yes
    fi
    if [ "$dry" = no ] && ! tor_runs && ! systemctl is-enabled -q tor.service 2>/dev/null && todo "let Tor run"; then
        note "unit tor.service"
        systemctl enable --now tor.service >/dev/null 2>&1 || true
    fi
    if [ "$dry" = no ] && { [ "$tor_changed" = yes ] || ! tor_runs; }; then
        rm -f "$notes/onion-up"
        tor_apply || {
            why=$(tor_said)
            tor_unset ssh
            tor_apply || true
            refuse "Tor does not run with the settings, so they were taken back; it said: $why"
        }
    fi
    printf 'client\t%s\n' "$client"
}
