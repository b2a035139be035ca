#!/bin/bash
# Every header compiles alone, and twice, with both compilers.
cd "$(dirname "$0")/../.." || exit
set -u
. tests/tap.sh

alone() { # COMPILER HEADER
	printf '#include "%s"\n#include "%s"\n' "$2" "$2" |
		"$1" -std=gnu17 -Wall -Wextra -Werror -D_GNU_SOURCE -I. -x c -fsyntax-only -
}

for header in $(git ls-files -co --exclude-standard 'vmm/*.h' 'devices/*.h' 'viommu/*.h' 'tests/*.h'); do
	for compiler in gcc clang; do
		holds "$header compiles alone with $compiler" alone $compiler "$header"
	done
done
done_testing
