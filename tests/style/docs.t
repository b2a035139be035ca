#!/bin/bash
# What the documentation says is there: options, keys, verbs, make targets, files.
cd "$(dirname "$0")/../.." || exit
set -u
. tests/tap.sh

nidus=build/nidus

is 'the man page has no warnings' \
	"$(MANROFFSEQ='' MANWIDTH=80 man --warnings=w -E UTF-8 -l -Tutf8 docs/nidus.1 2>&1 >/dev/null)" ''
manual=$(sed 's/\\-/-/g; s/\\[&:%]//g' docs/nidus.1)
completion=$(<docs/completion/nidus.bash)
readme=$(<README.md)

holds 'the completion is a bash script' bash -n docs/completion/nidus.bash

mapfile -t verbs < <($nidus help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')
holds 'nidus help lists verbs' test ${#verbs[@]} -ge 8
for verb in "${verbs[@]}"; do
	like "the man page has the verb $verb" "$manual" "(^|[^a-z-])$verb([^a-z-]|$)"
	like "the completion has the verb $verb" "$completion" "(^|[^a-z-])$verb([^a-z-]|$)"
	for option in $($nidus help "$verb" | grep -oE -- '--[a-z][a-z-]+' | sort -u); do
		like "the man page has $option of $verb" "$manual" "(^|[^a-z-])$option([^a-z-]|$)"
		# It asks the program itself for its options, or names them.
		like "the completion has $option of $verb" "$completion$($nidus help "$verb")" "$option([^a-z-]|$)"
	done
done
for key in $($nidus help run | sed -n 's/^        \([a-z-]*\)=.*/\1/p' | sort -u); do
	like "the man page has the key $key" "$manual" "(^|[^a-z-])$key([^a-z-]|$)"
	like "the completion has the key $key" "$completion" "(^|[^a-z-])$key([^a-z-]|$)"
done
for property in $(sed -n 's/^	{ "[a-z]*", "\([^"]*\)",.*/\1/p' vmm/keys.c | sort -u); do
	like "the man page has the property $property" "$manual" "(^|[^a-z,-])$property([^a-z-]|$)"
done

# completes WORDS... : what bash offers for the last of them, once it has learned from the script.
completes() {
	PATH=$PWD/build:$PATH bash -c '
		. /usr/share/bash-completion/bash_completion 2>/dev/null
		. docs/completion/nidus.bash
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
		function=$(complete -p nidus | sed -n "s/.*-F \([^ ]*\).*/\1/p")
		$function nidus "${@: -1}" "${@: -2:1}"
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@" 2>/dev/null
}
like 'bash completes a verb' "$(completes nidus sta)" stats
like 'bash completes an option' "$(completes nidus run --mem)" --memory

# --- README ---

# Words that are typed: the lines of code blocks, and what stands in backquotes.
commands=$({
	sed -n '/^```$/,/^```$/p' README.md
	grep -oE '`[^`]+`' README.md | tr -d '`'
} | sed 's/ *#.*//')
for target in $(grep -oE '\bmake [a-z]+' <<<"$commands" | cut -d' ' -f2 | sort -u); do
	holds "README: make $target exists" make -n "$target"
done
for verb in $(grep -oE '\bnidus [a-z]+' <<<"$commands" | cut -d' ' -f2 | sort -u); do
	holds "README: nidus $verb exists" $nidus help "$verb"
done
for verb in $(grep -oE 'guest-tests/lab/lab [a-z]+' <<<"$commands" | cut -d' ' -f2 | sort -u); do
	like "README: lab $verb exists" "$(guest-tests/lab/lab help)" "lab $verb"
done
for path in $(grep -oE '\]\([^)#]+\)' README.md | tr -d '])(' | grep -v '^http' | sort -u); do
	holds "README: $path exists" test -e "$path"
done
for directory in $(sed -n '/^## The tree/,/^```$/d; s/^\([a-z-]*\)\/ .*/\1/p' README.md); do
	holds "README: $directory/ exists" test -d "$directory"
done
for code in 0 1 2 3 4 5; do
	like "README, man page and help agree about exit code $code" "$($nidus help run)" "  $code  "
	like "README has exit code $code" "$readme" "\| $code \|"
done
done_testing
