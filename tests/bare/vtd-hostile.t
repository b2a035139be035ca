#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that attacks its VT-d unit for a bounded time, with several seeds. HOSTILE_SECONDS makes it
# longer, HOSTILE_SEED starts elsewhere: a failure names both.
use strict;
use warnings;

use Bare;
use Tap;

my @devices = ('--edu', 'dma-mask=64', '--sdma', 'queues=4');
my $seconds = $ENV{HOSTILE_SECONDS} // 6;
my $seed = $ENV{HOSTILE_SEED} // 1;
for my $cpus (1, 2, 4) {
	my $words = "seed=$seed seconds=$seconds";
	guest_ok("hostile, $cpus CPUs, $words", $seconds + 60, 'vtd-hostile', $words, '-c', $cpus,
		'-m', '64', @devices, '--vtd');
	$seed++;
}

# With what may end the VM allowed too: DMA anywhere, messages of any kind. A guest that has
# overwritten itself may also hang; then the VM still ends as it is told.
for my $i (1 .. 3) {
	my $words = "seed=$seed seconds=$seconds deadly=1";
	my $vm = start_guest('vtd-hostile', $words, '-c', '2', '-m', '64', '--exit-port', @devices, '--vtd');
	wait_for_output($vm, undef, $seconds + 10);
	kill('TERM', $vm->{pid}) if !$vm->{ended};
	finish_guest($vm, 20);
	my $status = $vm->{status};
	my %documented = map { $_ => 1 } 0, 3, 4, 128 + 15;
	ok($status < 128 && $status & 1 || $documented{$status}, "deadly, $words: a documented end, $status");
	unlike($vm->{errors}, qr/runtime error:|ERROR: \w+Sanitizer/, 'deadly: no sanitizer complains');
	is(join(' ', children_left($vm)), '', 'deadly: no process is left');
	$seed++;
}

done_testing();
