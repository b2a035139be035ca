#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The educational device: DMA, INTA# as a level, MSI.
use strict;
use warnings;

use Bare;
use Tap;

if (is_software()) {
	skip('edu', 'this /dev/kvm is software: it repeats level-triggered interrupts');
} else {
	guest_ok('edu', 120, 'edu', 'rounds=100', '-m', '16', '--edu');
}

done_testing();
