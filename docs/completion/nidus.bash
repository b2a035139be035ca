# bash completion for nidus(1)                             -*- shell-script -*-
# SPDX-License-Identifier: GPL-2.0-or-later

# The keys of an option whose value is a list; those that want a value end in "=".
_nidus_keys()
{
	case $1 in
	-i | --initrd) echo "path= args=" ;;
	-c | --cpus) echo "count= cpu=" ;;
	-m | --memory | --mem) echo "size= hugepages= prefault overcommit shared" ;;
	-d | --disk) echo "path= fd= ro direct queues= serial=" ;;
	-n | --net | --network) echo "tap= fd= mac= queues= offload=" ;;
	--vtd)
		echo "devices= aw= pasid-bits= domain-bits= scalable first-stage second-stage nested
			first-stage-57 first-stage-1g pass-through ats pri ir x2apic supervisor
			execute caching-mode snoop access-dirty extended-accessed abort-dma vcmd
			pasid-quota= fault-records= drop="
		;;
	--sdma) echo "queues=" ;;
	--edu) echo "dma-mask= rom=" ;;
	--vfio) echo "device= nested= fd= iommufd= pasid-quota=" ;;
	--serial | --console) echo "to= file=" ;;
	esac
}

# Values of one key of an option.
_nidus_values()
{
	case $2 in
	hugepages) compgen -W "2M 1G off" -- "$3" ;;
	prefault | overcommit | shared | ro | direct | offload) compgen -W "on off" -- "$3" ;;
	scalable | first-stage | second-stage | nested | first-stage-57 | first-stage-1g | \
		pass-through | ats | pri | ir | x2apic | supervisor | execute | caching-mode | \
		snoop | access-dirty | extended-accessed | abort-dma | vcmd)
		compgen -W "on off auto" -- "$3"
		;;
	aw) compgen -W "39 48 57" -- "$3" ;;
	drop)
		compgen -W "context iotlb device-tlb interrupt pasid-iotlb pasid-cache \
			pasid-device-tlb" -- "$3"
		;;
	to) compgen -W "stdio off" -- "$3" ;;
	path | file | rom) compgen -f -- "$3" ;;
	tap) compgen -W "$(_nidus_taps)" -- "$3" ;;
	device) compgen -W "$(_nidus_devices drivers/vfio-pci)" -- "$3" ;;
	cpu) compgen -W "host host:-svm host:-vmx" -- "$3" ;;
	esac
}

# PCI devices in directory $1 of the bus.
_nidus_devices()
{
	local device

	for device in "/sys/bus/pci/$1"/*:*:*.*; do
		[ -e "$device" ] && echo "${device##*/}"
	done
}

_nidus_taps()
{
	local flags

	for flags in /sys/class/net/*/tun_flags; do
		[ -e "$flags" ] || continue
		flags=${flags%/tun_flags}
		echo "${flags##*/}"
	done
}

# The value $2 of option $1, whole: each line is a possible one.
_nidus_option()
{
	local head=${2%"${2##*,}"} word=${2##*,}

	case $1 in
	-k | --kernel) compgen -f -- "$2"; return ;;
	-f | --manifest | --file | --dtb | --native | --save | --html | --from)
		compgen -f -- "$2"
		return
		;;
	--modes)
		compgen -P "$head" -W "native direct nested shadowed emulated" -- "$word"
		return
		;;
	--rng | --restart) compgen -W "on off" -- "$2"; return ;;
	--exit-port) compgen -W "on off 0xf4" -- "$2"; return ;;
	--seccomp) compgen -W "kill log off" -- "$2"; return ;;
	--log) compgen -P "$head" -W "error warn notice info debug" -- "$word"; return ;;
	esac
	if [[ $word == *=* ]]; then
		_nidus_values "$1" "${word%%=*}" "${word#*=}" | sed "s|^|$head${word%%=*}=|"
		return
	fi
	compgen -P "$head" -W "$(_nidus_keys "$1")" -- "$word"
	if [[ -z $head ]]; then
		case $1 in
		-d | --disk | -i | --initrd) compgen -f -- "$word" ;;
		-n | --net | --network) compgen -W "$(_nidus_taps)" -- "$word" ;;
		--vfio) compgen -W "$(_nidus_devices drivers/vfio-pci)" -- "$word" ;;
		--serial | --console) compgen -W "stdio off" -- "$word" ;;
		esac
	fi
}

# The options of verb $1.
_nidus_options()
{
	local vm="-k --kernel -i --initrd -p --cmdline --params -c --cpus -m --memory --mem -d --disk
		-n --net --network --vtd --sdma --edu --vfio --serial --console --rng --no-rng --exit-port --no-exit-port
		--restart --no-restart --name --seccomp --log -f --manifest --file"

	case $1 in
	run) echo "$vm -h --help" ;;
	check) echo "$vm --dtb -h --help" ;;
	caps) echo "--vtd --json -h --help" ;;
	list | stats) echo "--json -h --help" ;;
	bench)
		echo "-k --kernel -i --initrd -c --cpus -m --memory --mem --modes --native --quick
			--json --save --html --from -h --help"
		;;
	stop) echo "--timeout -h --help" ;;
	*) echo "-h --help" ;;
	esac
}

# Fills in cur and words with "=" and ":" not splitting them, which bash does on its own.
_nidus_words()
{
	local i glue=""

	words=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == [=:]* && $i -gt 1 || -n $glue ]]; then
			words[${#words[@]} - 1]+=${COMP_WORDS[i]}
		else
			words+=("${COMP_WORDS[i]}")
		fi
		glue=""
		[[ ${COMP_WORDS[i]} == [=:] ]] && glue=yes
	done
	cur=${words[${#words[@]} - 1]}
}

_nidus()
{
	local cur words verb previous replies prefix=""

	_nidus_words
	verb=${words[1]}
	previous=${words[${#words[@]} - 2]}
	if [[ ${#words[@]} -le 2 ]]; then
		replies=$(compgen -W "run check caps list stats trace vfio bench reset stop version help --help --version" \
			-- "$cur")
	elif [[ $cur == --*=* ]]; then
		replies=$(_nidus_option "${cur%%=*}" "${cur#*=}" | sed "s|^|${cur%%=*}=|")
	elif [[ $cur == -* ]]; then
		replies=$(compgen -W "$(_nidus_options "$verb")" -- "$cur")
	else
		case $previous in
		-[kicmdnf] | --kernel | --initrd | --cpus | --memory | --mem | --disk | --net | \
		--network | --vtd | --sdma | --edu | --vfio | --serial | --console | --seccomp | \
		--log | --manifest | --file | --dtb | --modes | --native | --save | --html | --from)
			replies=$(_nidus_option "$previous" "$cur")
			;;
		-p | --cmdline | --params | --name | --timeout) return ;;
		*)
			case $verb in
			run | check) replies=$(compgen -f -- "$cur") ;;
			bench) replies=$(compgen -W "$(_nidus_devices drivers/vfio-pci)" -- "$cur") ;;
			stats | trace | reset | stop)
				replies=$(compgen -W "$(nidus list 2>/dev/null | cut -d' ' -f1)" \
					-- "$cur")
				;;
			vfio)
				if [[ ${#words[@]} -le 3 ]]; then
					replies=$(compgen -W "bind unbind" -- "$cur")
				else
					replies=$(compgen -W "$(_nidus_devices devices)" -- "$cur")
				fi
				;;
			help)
				replies=$(compgen -W "run check caps list stats trace vfio bench reset stop version help" \
					-- "$cur")
				;;
			esac
			;;
		esac
	fi
	# Bash replaces only what stands behind the last break.
	[[ $cur == *[=:]* ]] && prefix=${cur%"${cur##*[=:]}"}
	mapfile -t COMPREPLY < <(while read -r line; do
		[[ -n $line ]] && echo "${line#"$prefix"}"
	done <<<"$replies")
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

complete -o filenames -o nosort -F _nidus nidus 2>/dev/null || complete -F _nidus nidus
