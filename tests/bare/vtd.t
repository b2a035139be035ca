#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The VT-d unit, register by register, with units of different abilities.
use strict;
use warnings;

use Bare;
use Tap;

my $software = is_software() ? 'software=1' : 'software=0';
my @devices = ('--edu', 'dma-mask=64', '--sdma', 'queues=4');

my @rows = (
	[ 'everything', '' ],
	[ 'no first stage', 'first-stage=off,nested=off' ],
	[ 'no second stage in scalable mode', 'second-stage=off,nested=off' ],
	[ 'no nesting', 'nested=off' ],
	[ 'no page requests', 'pri=off' ],
	[ 'no device-TLBs', 'ats=off,pri=off' ],
	[ 'no interrupt remapping', 'ir=off' ],
	[ '39 bits', 'aw=39' ],
	[ '57 bits', 'aw=57' ],
	[ 'caching mode', 'caching-mode=on' ],
);

for my $row (@rows) {
	my ($name, $keys) = @$row;
	guest_ok($name, 120, 'vtd', $software, '-m', '64', @devices, $keys ? "--vtd=$keys" : '--vtd');
}
guest_ok('x2APIC', 120, 'vtd', "$software x2apic=1", '-m', '64', @devices, '--vtd');
guest_ok('16 CPUs', 120, 'vtd', $software, '-c', '16', '-m', '64', @devices, '--vtd');

# The same tests notice an invalidation that does not happen.
my $vm = run_guest(120, 'vtd', $software, '-m', '64', '--exit-port', @devices, '--vtd=drop=iotlb');
exit_is($vm, 33, 'with IOTLB invalidations dropped the guest fails');
like($vm->{output}, qr/^not ok \d+ - .*a changed page after/m, 'and it says what went wrong');

done_testing();
