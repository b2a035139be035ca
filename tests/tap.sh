# shellcheck shell=bash
# Rows of a test in TAP. A test is a bash script that sources this and ends with `done_testing`.

GROUP=$(basename "$0" .t)
rows=0 bad_rows=0

note() {
	sed 's/^/# /' <<<"$*"
}

ok_row() {
	rows=$((rows + 1))
	printf 'ok %d - %s: %s\n' "$rows" "$GROUP" "$1"
}

bad_row() { # NAME [WHY]...
	local name=$1
	shift
	rows=$((rows + 1)) bad_rows=$((bad_rows + 1))
	printf 'not ok %d - %s: %s\n' "$rows" "$GROUP" "$name"
	(($# == 0)) || note "$@"
}

skip_row() { # NAME REASON
	rows=$((rows + 1))
	printf 'ok %d - %s: %s # SKIP %s\n' "$rows" "$GROUP" "$1" "$2"
}

# is NAME GOT WANT
is() {
	if [[ $2 == "$3" ]]; then
		ok_row "$1"
	else
		bad_row "$1" "$(differ "$2" "$3")"
		return 1
	fi
}

# differ GOT WANT: of long texts only what differs.
differ() {
	if [[ $1$2 == *$'\n'* ]]; then
		diff -U0 --label want --label got <(printf '%s\n' "$2") <(printf '%s\n' "$1") | head -n 30
	else
		printf 'got:  %s\nwant: %s\n' "$1" "$2"
	fi
}

# like NAME TEXT REGEX: bash's extended regular expressions.
like() {
	if [[ $2 =~ $3 ]]; then
		ok_row "$1"
	else
		bad_row "$1" "got:  $2"$'\n'"want: $3"
		return 1
	fi
}

# holds NAME COMMAND...: the command succeeds. What it printed explains a failure.
holds() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		ok_row "$name"
	else
		bad_row "$name" "failed: $*"${said:+$'\n'"$said"}
		return 1
	fi
}

fails() {
	! "$@"
}

done_testing() {
	printf '1..%d\n' "$rows"
	((bad_rows == 0 && rows > 0))
	exit
}
