# shellcheck shell=bash
# shellcheck disable=SC2016 # apt expands these
# Debian's archive, through this machine's own apt configuration and beside it: private lists and
# a private cache, nothing installed, nothing of the machine's own configuration changed.

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The archive this machine takes Debian from. The origin is known once lists were fetched; before
# that the shape of the path is all there is to go by.
debian_uri() {
	local uri
	uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(RELEASE)|$(SITE)' \
		'Created-By: Packages' | awk -F'|' '
		$1 == "Debian" && $2 == "Debian" { print $4; found = 1; exit }
		$3 !~ /security/ && $4 ~ /\/debian\/?$/ && !guess { guess = $4 }
		END { if (!found && guess) print guess }')
	[[ $uri ]] || die "no Debian archive in this machine's apt configuration (see: apt-get indextargets)"
	printf '%s\n' "$uri"
}

debian_keyring_ready() {
	need_packages "$DEBIAN_KEYRING=debian-archive-keyring"
	local version
	version=$(dpkg-query -W -f '${Version}' debian-archive-keyring 2>/dev/null || true)
	# trixie's keys came with 2023.3+deb12u2 (bookworm) and 2025.1.
	if [[ $version ]] && dpkg --compare-versions "$version" lt 2023.3+deb12u2; then
		die "debian-archive-keyring $version does not hold the keys of Debian 13: update that package (apt-get install debian-archive-keyring)"
	fi
}

debian_source_line() {
	printf 'deb [signed-by=%s arch=amd64] %s %s main\n' "$DEBIAN_KEYRING" "$(debian_uri)" "$1"
}

# What this machine's apt says about how to reach an archive (proxies, clock checks), for tools
# that start from a configuration of their own.
debian_acquire_options() {
	apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-Date|Check-Valid-Until|ForceIPv[46])' |
		grep -v '""' || true
}

# debian_open DIR SUITE...: fetches the lists of these suites into DIR.
debian_open() {
	local dir=$1 suite
	shift
	debian_keyring_ready
	mkdir -p "$dir"/{state/lists/partial,cache/archives/partial,log}
	: >"$dir/status"
	for suite; do
		debian_source_line "$suite"
	done >"$dir/sources.list"
	cat >"$dir/apt.conf" <<EOF
Dir::State "$dir/state";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Log "$dir/log";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "$dir/none";
Dir::Etc::Preferences "$dir/none";
Dir::Etc::PreferencesParts "$dir/none";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "3";
EOF
	debian_apt "$dir" apt-get -q update >"$dir/update.log" 2>&1 || {
		tail -n 10 "$dir/update.log" >&2
		die "could not fetch Debian's package lists for: $*"
	}
	# A suite that could not be fetched is only a warning to apt, and an old list at best to us.
	if grep -E '^(W|E):' "$dir/update.log" | grep -vi 'duplicate\|i386' | grep -q .; then
		grep -E '^(W|E):' "$dir/update.log" >&2
		grep -qE '^E:|Failed to fetch' "$dir/update.log" &&
			die "could not fetch Debian's package lists for: $*"
	fi
	return 0
}

# The options on the command line win over the machine's own files, which apt reads last.
debian_apt() {
	local dir=$1 tool=$2
	shift 2
	timeout 1800 "$tool" -c "$dir/apt.conf" "$@"
}

# debian_names DIR REGEX: package names that match, whole.
debian_names() {
	debian_apt "$1" apt-cache pkgnames | grep -xE "$2" || true
}

# debian_version DIR PACKAGE [SUITE]: the newest version on offer.
debian_version() {
	debian_apt "$1" apt-cache madison "$2" |
		awk -F' *[|] *' -v suite="${3:-}" '
			{ gsub(/^ +| +$/, "", $2) }
			suite == "" || $3 ~ " " suite "/" { print $2 }' |
		newest_version
}

# Newest of the Debian versions on standard input; nothing for nothing.
newest_version() {
	local line best=
	while read -r line; do
		if [[ -z $best ]] || dpkg --compare-versions "$line" gt "$best"; then
			best=$line
		fi
	done
	if [[ $best ]]; then printf '%s\n' "$best"; fi
}

# debian_download DIR TARGET PACKAGE=VERSION...: checked against the signed lists, put in TARGET.
debian_download() {
	local dir=$1 target=$2
	shift 2
	mkdir -p "$target"
	(cd "$target" && debian_apt "$dir" apt-get -q download "$@" >"$dir/download.log" 2>&1) || {
		tail -n 10 "$dir/download.log" >&2
		die "could not download: $*"
	}
}
