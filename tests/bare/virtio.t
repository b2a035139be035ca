#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The virtio driver: data, errors, broken drivers; and what stands on the disk afterwards.
use strict;
use warnings;
no warnings 'portable'; # numbers of 64 bits

use Bare;
use Tap;

use constant SECTORS => 16384;

my $software = is_software() ? ' software=1' : '';
my $written = 0xa5a5a5a5a5a5a5a5;

# What guest-tests/bare/virtio/blk.c leaves in a sector; undef: anything.
sub expected {
	my ($sector) = @_;
	return $sector ^ $written if $sector >= 64 && $sector < 128 || $sector >= 1024 && $sector < 3072;
	return undef if $sector >= 128 && $sector < 192;
	return 0 if $sector >= 192 && $sector < 320;
	return $sector;
}

sub disk_is_good {
	my ($path, $content, $name) = @_;
	my @bad;
	open(my $file, '<:raw', $path) or die "$path: $!";
	for my $sector (0 .. SECTORS - 1) {
		read($file, my $bytes, 512) == 512 or last;
		my $word = $content->($sector);
		push @bad, $sector if defined $word && $bytes ne pack('Q<', $word) x 64;
	}
	is(join(' ', @bad[0 .. ($#bad > 9 ? 9 : $#bad)]), '', "$name: every sector is as it should be");
	is(-s $path, SECTORS * 512, "$name: its size has not changed");
}

my @rows = (
	[ 'one queue', 1, '', '16', '1' ],
	[ 'many queues', 2, ',queues=16', '64', '16' ],
	[ 'direct', 3, ',direct=on,queues=4', '64', '2' ],
	[ 'RAM above 4 GiB', 4, ',queues=2', '5G', '2' ],
);

for my $row (@rows) {
	my ($name, $n, $keys, $memory, $cpus) = @$row;
	my $disk = make_disk("rw$n", SECTORS);
	my $read_only = make_disk("ro$n", SECTORS);

	if ($memory eq '5G' && free_memory() < (5 << 30)) {
		skip($name, 'this host has too little memory');
	} else {
		guest_ok($name, 150, 'virtio', "disks=2 id0=first-$n$software", '-m', $memory, '-c', $cpus,
			'-d', "$disk,serial=first-$n$keys", '-d', "$read_only,ro");
		disk_is_good($disk, \&expected, "$name, written");
		disk_is_good($read_only, sub { $_[0] }, "$name, read-only");
	}
	unlink($disk, $read_only);
}

guest_ok('no rng, no disk', 30, 'virtio', 'disks=0 rng=0', '-m', '16', '--no-rng');

done_testing();
