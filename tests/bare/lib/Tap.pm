# SPDX-License-Identifier: GPL-2.0-or-later
# Verdicts in TAP form: the few functions of Test::More that these tests use, for hosts (the lab's)
# that have no more of Perl than its base.
package Tap;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(ok is like unlike cmp_ok diag skip skip_all subtest bail_out done_testing);

$| = 1;

# What the current test, or subtest, has come to.
my ($count, $failed, $indent) = (0, 0, '');

sub diag {
	my ($text) = @_;
	print STDOUT map { "$indent# $_\n" } split /\n/, $text;
}

sub ok {
	my ($good, $name) = @_;
	$count++;
	$failed++ if !$good;
	$name =~ s/#/\\#/g;
	print $indent, $good ? '' : 'not ', "ok $count - $name\n";
	return $good;
}

sub show {
	my ($value) = @_;
	return defined $value ? "'$value'" : 'nothing';
}

sub is {
	my ($got, $want, $name) = @_;
	my $good = defined $got && defined $want ? $got eq $want : !defined $got && !defined $want;
	ok($good, $name) or diag('got ' . show($got) . ', expected ' . show($want));
	return $good;
}

sub like {
	my ($got, $want, $name) = @_;
	return ok(scalar($got =~ $want), $name) || (diag("nothing in it matches $want"), 0);
}

sub unlike {
	my ($got, $bad, $name) = @_;
	return ok(scalar($got !~ $bad), $name) || (diag("this matches $bad: $&"), 0);
}

# Numbers only.
sub cmp_ok {
	my ($got, $how, $want, $name) = @_;
	my %good = ('<=' => $got <= $want, '>=' => $got >= $want, '<' => $got < $want, '>' => $got > $want);
	return ok($good{$how}, $name) || (diag("got $got, which is not $how $want"), 0);
}

sub skip {
	my ($name, $why) = @_;
	$count++;
	print "${indent}ok $count - $name # SKIP $why\n";
}

# Instead of a whole test.
sub skip_all {
	print "1..0 # SKIP $_[0]\n";
	exit(0);
}

sub bail_out {
	print "Bail out! $_[0]\n";
	exit(255);
}

# One verdict that stands for those of @$body.
sub subtest {
	my ($name, $body) = @_;
	my @outer = ($count, $failed, $indent);
	print "$indent# $name\n";
	($count, $failed, $indent) = (0, 0, "$indent    ");
	$body->();
	print "${indent}1..$count\n";
	my $good = $count && !$failed;
	($count, $failed, $indent) = @outer;
	return ok($good, $name);
}

sub done_testing {
	print "1..$count\n";
	exit($failed > 100 ? 100 : $failed);
}

1;
