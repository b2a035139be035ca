#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# What a multiboot kernel is told: command line, memory of all sizes, modules.
use strict;
use warnings;
no warnings 'portable'; # numbers of 64 bits

use Bare;
use Tap;

use constant MIB => 1 << 20;
use constant LOW_MAX => 0xc0000000;

# What hello computes of a module.
sub sum_of {
	my $sum = 0;
	$sum = ($sum * 31 + ord) & 0xffffffff for split //, $_[0];
	return sprintf('%x', $sum);
}

for my $memory ('16', '17', '64', '1G', '3072', '5G') {
	my ($number, $unit) = $memory =~ /^(\d+)(G?)$/;
	my $bytes = $number * ($unit ? 1024 : 1) * MIB;

	if (free_memory() < $bytes) {
		skip("-m $memory", 'this host has too little memory');
	} else {
		my $vm = run_guest(60, 'hello', "memory=$memory end=exit:0", '-m', $memory, '--exit-port');
		my ($ram, $top) = (0, 0);

		exit_is($vm, 1, "-m $memory: runs") or next;
		while ($vm->{output} =~ /^range: 0x(\w+) size 0x(\w+) type 1$/mg) {
			my ($base, $size) = (hex($1), hex($2));
			$ram += $size;
			$top = $base + $size if $base + $size > $top;
		}
		cmp_ok($ram, '<=', $bytes, "-m $memory: not more RAM than that");
		cmp_ok($ram, '>', $bytes - 2 * MIB, "-m $memory: and not much less");
		is($top, $bytes <= LOW_MAX ? $bytes : $bytes - LOW_MAX + (1 << 32),
			"-m $memory: it ends where it should");
		like($vm->{output}, qr/^command line: .*memory=$memory end=exit:0$/m,
			"-m $memory: command line");
	}
}

my %modules = (one => 'x' x 5000, two => join('', map { chr($_ % 251) } 0 .. 300_000), empty => '');
my @options;
for my $name (sort keys %modules) {
	open(my $file, '>:raw', scratch($name)) or die;
	print $file $modules{$name};
	close($file);
	push @options, '-i', scratch($name) . ",args=words of $name" if $name ne 'empty';
}
my $vm = run_guest(60, 'hello', 'end=exit:0', '-m', '32', '--exit-port', @options);
exit_is($vm, 1, 'modules: runs');
for my $name (grep { $_ ne 'empty' } sort keys %modules) {
	my $size = length($modules{$name});
	my $sum = sum_of($modules{$name});
	like($vm->{output}, qr/^module: $size bytes sum 0x$sum string .*words of $name$/m,
		"module $name is there, with its words");
}

my $long = 'x' x 1900;
$vm = run_guest(20, 'hello', "$long end=exit:3", '-m', '16', '--exit-port');
exit_is($vm, 7, 'a long command line');
like($vm->{output}, qr/\Q$long\E end=exit:3/, 'is there as a whole');

done_testing();
