# shellcheck shell=bash
# What the lab's tests share: guests in the background, and waiting for what they print. The rows
# are those of tests/tap.sh, the smallest guests those of tests/multiboot.sh.
#
# A test is a bash script that sources this file and ends with `done_testing`. It runs as root on a
# host with KVM (`lab run`), may write below $W, which is forgotten, and finds:
#   $NIDUS       the program
#   $KERNEL      our kernel, $INITRD its initramfs (busybox; see guest-tests/linux/initramfs)
#   $LIMIT       seconds that anything may take; nothing is judged by its speed
set -u
# shellcheck source=tests/tap.sh
. "$NIDUS_REPO/tests/tap.sh"
# shellcheck source=tests/multiboot.sh
. "$NIDUS_REPO/tests/multiboot.sh"

NIDUS=${NIDUS:-$NIDUS_REPO/build/nidus}
KERNEL=$NIDUS_KERNEL
INITRD=$NIDUS_INITRAMFS/guest.cpio
LIMIT=${LIMIT:-300}
W=$(mktemp -d "${TMPDIR:-/tmp}/nidus-test.XXXXXX")

declare -A PID=()
clean_up_words=()

# --- The end ---

# Only by the test itself: a child that is killed before it has become its command has this too.
clean_up() {
	local name words
	[[ $BASHPID == "$$" ]] || return
	for name in "${!PID[@]}"; do
		kill -KILL "${PID[$name]}" 2>/dev/null
	done
	for words in "${clean_up_words[@]}"; do
		eval "$words" >/dev/null 2>&1
	done
	rm -rf "$W"
}
trap clean_up EXIT
trap 'exit 143' TERM INT

# at_end WORDS: undone when the test ends, in the order given.
at_end() {
	clean_up_words+=("$*")
}

# --- Waiting ---

exec {never}<> <(:)

# until_true COMMAND...: tries again until it succeeds, at most $LIMIT seconds.
until_true() {
	local end=$((SECONDS + LIMIT))
	until "$@"; do
		((SECONDS < end)) || return 1
		read -rt 0.1 -u "$never"
	done
	return 0
}

# A process that has ended but was not waited for is not alive. (kill -0 would find it; a busy bash whose
# `read -t` was interrupted may not notice the end of a child until it forks again.)
alive() {
	local stat
	{ read -r stat <"/proc/${PID[$1]}/stat"; } 2>/dev/null && [[ ${stat##*) } != Z* ]]
}

gone() {
	! alive "$1"
}

# line_or_gone NAME REGEX: it printed the line, or there is nobody left who could.
line_or_gone() {
	grep -qaE -- "$2" "$W/$1.out" 2>/dev/null || gone "$1"
}

# wait_line NAME REGEX: waits until the guest NAME has printed a line.
wait_line() {
	until_true line_or_gone "$1" "$2"
	grep -qaE -- "$2" "$W/$1.out" 2>/dev/null
}

# where NAME: what its threads are at, for the reader of a failure.
where() {
	local thread
	for thread in "/proc/${PID[$1]}/task"/*; do
		note "$1, thread $(cat "$thread/comm"): $(sed -n 's/^State:\s*//p' "$thread/status")," \
			"call $(cat "$thread/syscall"), in" "$(tr '\n' ' ' <"$thread/stack")"
	done
}

# finish NAME: waits until it has ended; its exit code is $STATUS then, or 999 if it had to be killed.
finish() {
	if until_true gone "$1"; then
		wait "${PID[$1]}"
		STATUS=$?
	else
		where "$1" 2>/dev/null
		kill -KILL "${PID[$1]}" 2>/dev/null
		wait "${PID[$1]}" 2>/dev/null
		STATUS=999
	fi
	unset "PID[$1]"
}

# --- Guests ---

# pack DIR FILE: a cpio archive, which nidus appends to another initramfs.
pack() {
	(cd "$1" && find . -mindepth 1 | busybox cpio -o -H newc 2>/dev/null) >"$2"
}

# script NAME <TEXT: makes $W/NAME.cpio, in which the script is /NAME.
script() {
	mkdir -p "$W/$1.d"
	cat >"$W/$1.d/$1"
	pack "$W/$1.d" "$W/$1.cpio"
}

# add_program NAME PROGRAM: puts a program of this host, with its libraries, into the archive of
# `script`, as /programs/PROGRAM.
add_program() {
	local dir=$W/$1.d program path
	program=$(command -v "$2") || return
	mkdir -p "$dir/programs"
	cp -L "$program" "$dir/programs/"
	for path in $(ldd "$program" | grep -oE '/[^ ]+'); do
		mkdir -p "$dir$(dirname "$path")"
		cp -L "$path" "$dir$path"
	done
}

# start NAME ARGUMENT...: `nidus run` in the background. What it prints goes to $W/NAME.out and
# NAME.err; its input is $IN; $VIA is put in front, for namespaces and other users.
VIA=()
IN=/dev/null
start() {
	local name=$1
	shift
	: >"$W/$name.out" >"$W/$name.err"
	"${VIA[@]}" "$NIDUS" run "$@" <"$IN" >"$W/$name.out" 2>"$W/$name.err" &
	PID[$name]=$!
}

# linux NAME ARGUMENT...: our kernel with our initramfs, which does what the script /NAME says (see
# `script`), and powers off. $PARAMS is added to the kernel's command line.
PARAMS=
linux() {
	local name=$1 script=()
	shift
	[[ -e $W/$name.cpio ]] && script=(-i "$W/$name.cpio")
	start "$name" -k "$KERNEL" -i "$INITRD" "${script[@]}" \
		-p "console=ttyS0 quiet panic=-1 ${script:+nidus.cmd=\"sh /$name\"} $PARAMS" "$@"
}

# said NAME KEY: the value in the line "KEY VALUE" that the guest printed last.
said() {
	tr -d '\r' <"$W/$1.out" | sed -n "s/^$2 //p" | tail -n 1
}

# show NAME: the end of what it printed, for the reader of a failure.
show() {
	note "$1: $(tail -n 15 "$W/$1.out" | tr -d '\r' | cat -v)"
	[[ ! -s $W/$1.err ]] || note "$1, stderr: $(tail -n 5 "$W/$1.err")"
}

# ended NAME CODE ROW: waits for the end of the guest, which has to be this.
ended() {
	finish "$1"
	is "$3" "$STATUS" "$2" || show "$1"
}
