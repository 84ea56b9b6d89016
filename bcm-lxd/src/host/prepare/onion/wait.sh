# After torrc.sh and the variables $onion_wait (seconds) and $notes. Run as root. Waits until the
# onion service can be found, and prints its address: "onion" and a tab before it.
service=/var/lib/tor/bcm-ssh
begin=$(date +%s)
while [ ! -s "$service/hostname" ]; do
    if [ $(($(date +%s) - begin)) -ge "$onion_wait" ] || ! tor_runs; then
        printf 'silent\t%s\n' "Tor made no address for it"
        tor_said
        exit 9
    fi
    sleep 0.2
done
address=$(cat "$service/hostname")
if [ "$(cat "$notes/onion-up" 2>/dev/null)" != "$address" ]; then
    # perl-base is on every Debian and Ubuntu. Tor's control-spec: events of a descriptor that was
    # taken by a directory, or fetched from one.
    status=0
    phase=$(perl -MIO::Socket::UNIX -e '
        my ($address, $limit) = @ARGV;
        my $phase = "it does not answer on its control socket";
        $SIG{ALRM} = sub { print $phase; exit 2 };
        alarm $limit;
        my $tor;
        until ($tor = IO::Socket::UNIX->new(Peer => "/run/tor/control")) { select undef, undef, undef, 0.2 }
        $tor->autoflush(1);
        open my $file, "<", "/run/tor/control.authcookie" or exit 3;
        read $file, my $cookie, 32;
        my ($text, $up, $ready) = ("", 0, 0);
        # The next line that comes within so many seconds.
        my $line = sub {
            my $until = time + $_[0];
            for (;;) {
                if ($text =~ s/^(.*?)\r\n//) {
                    my $said = $1;
                    $up = 1 if $said =~ /^650 HS_DESC (UPLOADED|RECEIVED) \Q$address\E/;
                    ($ready, $phase) = ($1 == 100, "$2 ($1 %)") if $said =~ /PROGRESS=(\d+).*SUMMARY="([^"]*)"/;
                    return $said;
                }
                return undef if time >= $until;
                my $who = "";
                vec($who, fileno $tor, 1) = 1;
                select $who, undef, undef, 0.5 or next;
                sysread $tor, $text, 4096, length $text or exit 3;
            }
        };
        my $ask = sub {
            print $tor "$_[0]\r\n";
            while (defined(my $said = $line->(30))) {
                return if $said =~ /^250 OK/;
                exit 3 if $said =~ /^5/;
            }
            exit 3;
        };
        $ask->("AUTHENTICATE " . unpack "H*", $cookie);
        $ask->("SETEVENTS HS_DESC");
        for (;;) {
            $ask->("GETINFO status/bootstrap-phase");
            last if $ready;
            $line->(1);
        }
        $phase = "it is connected, but no directory has taken the announcement yet";
        until ($up) {
            $ask->("HSFETCH $address");
            my $again = time + 10;
            $line->(1) until $up || time >= $again;
        }
    ' "${address%.onion}" "$onion_wait") || status=$?
    if [ "$status" != 0 ]; then
        printf 'silent\t%s\n' "${phase:-its control socket cannot be used}"
        tor_said
        exit 9
    fi
    printf '%s\n' "$address" >"$notes/onion-up"
fi
printf 'onion\t%s\n' "$address"
