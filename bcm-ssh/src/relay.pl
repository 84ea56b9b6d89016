# Relays connections from a socket of the user's own to one that only root may connect to, until
# stdin ends. Arguments: the socket to reach, the socket to listen on, the user's number.
use strict;
use warnings;
use Socket;
use IO::Select;

my ($target, $listen, $user) = @ARGV;
$SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = 'IGNORE';
$| = 1;

socket(my $server, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
umask 0177;
bind($server, sockaddr_un($listen)) or die "bind $listen: $!\n";
chown($user, -1, $listen) or die "chown $listen: $!\n";
listen($server, 64) or die "listen: $!\n";
print "ready $listen\n";

my $waiting = IO::Select->new($server, \*STDIN);
while (1) {
    for my $ready ($waiting->can_read) {
        if ($ready == $server) {
            accept(my $client, $server) or next;
            my $child = fork;
            if (defined $child && $child == 0) {
                close $server;
                close STDIN;
                close STDOUT;
                relay($client);
                exit 0;
            }
            close $client;
        } else {
            # Nothing is ever written there: it ended.
            my $count = sysread(STDIN, my $ignored, 4096);
            exit 0 unless $count;
        }
    }
}

sub relay {
    my ($client) = @_;
    socket(my $server, PF_UNIX, SOCK_STREAM, 0) or return;
    connect($server, sockaddr_un($target)) or return;
    my %other = ($client => $server, $server => $client);
    my $open = IO::Select->new($client, $server);
    while ($open->count) {
        for my $from ($open->can_read) {
            my $to = $other{$from};
            my $count = sysread($from, my $bytes, 65536);
            if (!$count) {
                $open->remove($from);
                shutdown($to, 1);
                next;
            }
            my $done = 0;
            while ($done < $count) {
                my $written = syswrite($to, $bytes, $count - $done, $done);
                return unless defined $written;
                $done += $written;
            }
        }
    }
}
