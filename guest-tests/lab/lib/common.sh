# shellcheck shell=bash
# What every script of the lab shares: messages, progress lines, and the cache with its two rules:
# an entry appears whole or not at all, and two processes that want the same entry build it once.

LAB_STARTED=${LAB_STARTED:-$(date +%s)}

# Messages go to standard error: standard output belongs to the command that runs in the lab.
say() {
	printf '[%4ds] %s\n' "$(($(date +%s) - LAB_STARTED))" "$*" >&2
}

warn() {
	printf 'lab: %s\n' "$*" >&2
}

die() {
	printf 'lab: %s\n' "$*" >&2
	exit "${DIE_STATUS:-1}"
}

cache_dir() {
	printf '%s\n' "${NIDUS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nidus}"
}

# key FILE... or key < TEXT: a short name for a content.
key() {
	cat "$@" | sha256sum | cut -c1-16
}

# with_lock NAME COMMAND...: runs a shell function or command while holding a lock of the cache.
# The lock file stays: removing it would let two holders in.
with_lock() {
	local name=$1 fd status
	shift
	mkdir -p "$(cache_dir)/locks"
	exec {fd}>"$(cache_dir)/locks/$name"
	if ! flock -w 2 "$fd"; then
		say "$name: another process is at it, waiting"
		flock -w 3600 "$fd" || die "$name: waited an hour for the lock $(cache_dir)/locks/$name"
	fi
	# The command must not hand the lock down to what it leaves running. No "||" here: it would
	# switch errexit off for everything below.
	"$@" {fd}>&-
	status=$?
	exec {fd}>&-
	return "$status"
}

# new_entry KIND: makes a directory, named in NEW_ENTRY, on the cache's own file system, so that the
# final rename is atomic. It goes when this program ends, however it ends; what a kill or a power cut
# left behind is swept here, hours later, when nobody can still be at it.
SCRATCHES=()
new_entry() {
	local dir
	dir=$(cache_dir)/$1
	mkdir -p "$dir"
	find "$dir" -mindepth 1 -maxdepth 1 -name '.new.*' -mmin +180 -exec rm -rf {} +
	NEW_ENTRY=$(mktemp -d "$dir/.new.XXXXXX")
	SCRATCHES+=("$NEW_ENTRY")
	[[ $(trap -p EXIT) ]] || trap drop_scratches EXIT
}

drop_scratches() {
	((${#SCRATCHES[@]} == 0)) || rm -rf "${SCRATCHES[@]}"
}

# finish_entry SCRATCH TARGET
finish_entry() {
	chmod 755 "$1"
	rm -rf "$2"
	mv -T "$1" "$2"
}

# run_logged LOG COMMAND...: quiet while all is well; the end of the log when it is not.
run_logged() {
	local log=$1
	shift
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		warn "this failed: $*"
		warn "the last lines of $log:"
		tail -n 25 "$log" | sed 's/^/  | /' >&2
		return 1
	fi
}

# need_packages COMMAND=PACKAGE...: installs the packages whose command is missing. An absolute
# path stands for a file instead of a command.
need_packages() {
	local pair what missing=() as=()
	for pair; do
		what=${pair%%=*}
		case $what in
		/*) [[ -e $what ]] && continue ;;
		*) command -v "$what" >/dev/null && continue ;;
		esac
		missing+=("${pair#*=}")
	done
	((${#missing[@]})) || return 0
	if ((EUID != 0)); then
		if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
			die "packages are missing; run this as root, then start again: apt-get install --no-install-recommends ${missing[*]}"
		fi
		as=(sudo -n)
	fi
	say "installing on this machine: ${missing[*]}"
	# A machine that never asked for package lists has none to install from.
	with_lock packages install_packages "${missing[@]}" ||
		die "could not install ${missing[*]}; see the messages above"
}

install_packages() {
	local log
	log=$(mktemp)
	if ! run_apt_install "$@" >"$log" 2>&1; then
		"${as[@]}" timeout 600 apt-get update -q >>"$log" 2>&1 || true
		if ! run_apt_install "$@" >>"$log" 2>&1; then
			tail -n 15 "$log" >&2
			rm -f "$log"
			return 1
		fi
	fi
	rm -f "$log"
}

run_apt_install() {
	"${as[@]}" env DEBIAN_FRONTEND=noninteractive timeout 1200 apt-get install -y -q \
		-o DPkg::Lock::Timeout=600 --no-install-recommends "$@"
}
