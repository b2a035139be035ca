# shellcheck shell=bash
# shellcheck disable=SC2034,SC2054,SC2153,SC2154 # the options of the run are set by lab; QEMU likes commas
# One run: which tier, what the command finds in its environment, and in the lab the machine H
# itself, from the words of QEMU to the exit status.

# choose_tier: sets TIER and WHY. Root, because the tests make taps, bind devices and lock memory.
choose_tier() {
	case $tier in
	metal | lab)
		TIER=$tier WHY="asked for"
		;;
	auto)
		TIER=lab
		if ! grep -qwE 'vmx|svm' /proc/cpuinfo; then
			WHY="this machine's CPU offers neither VMX nor SVM"
		elif ! { : <>/dev/kvm; } 2>/dev/null; then
			WHY="/dev/kvm cannot be opened"
		elif ((EUID != 0)); then
			WHY="hardware virtualisation is there, but not root's rights"
		else
			TIER=metal WHY="this machine's KVM has hardware virtualisation"
		fi
		;;
	*) die "--tier is auto, metal or lab, not '$tier'" ;;
	esac
}

# Modules are made for one kernel: another variant has images of its own.
images_dir() {
	local name=initramfs
	[[ $KERNEL_VARIANT == default ]] || name+=-$KERNEL_VARIANT
	printf '%s\n' "$REPO_DIR/build/$name"
}

# The initramfs images that tests boot, made anew when one of their sources is newer.
usual_images() {
	local dir builder=$REPO_DIR/guest-tests/linux/initramfs version
	dir=$(images_dir)
	image_is_old guest.cpio && "$builder/build" "$dir/guest.cpio"
	image_is_old minimal.cpio && "$builder/build" --minimal "$dir/minimal.cpio"
	if kernel_ready && sdma_image_is_old guest-sdma.cpio "$(kernel_entry)/Module.symvers"; then
		"$builder/build" --sdma "$dir/guest-sdma.cpio"
	fi
	if stock_headers_ready && sdma_image_is_old guest-sdma-7.cpio "$(stock_headers)/Makefile"; then
		"$builder/build" --modules 7 --sdma "$dir/guest-sdma-7.cpio"
	fi
	for version in "${STOCK_VERSIONS[@]}"; do
		stock_ready "$version" || continue
		image_is_old "guest-$version.cpio" "$(stock_dir "$version")/packages" || continue
		"$builder/build" --modules "$version" "$dir/guest-$version.cpio"
	done
	return 0
}

image_is_old() {
	local image
	image=$(images_dir)/$1
	shift
	[[ ! -s $image || $(find "$REPO_DIR/guest-tests/linux/initramfs" "$(tree_dir)/root/usr/bin/busybox" \
		"$@" -newer "$image" -print -quit 2>/dev/null) ]]
}

sdma_image_is_old() {
	image_is_old "$@" "$REPO_DIR/guest-tests/linux" "$REPO_DIR/devices/sdma_regs.h"
}

# What the command finds in its environment, in both tiers.
run_environment() {
	local entry version name
	entry=$(kernel_entry)
	printf 'NIDUS_TIER=%s\n' "$TIER"
	printf 'NIDUS_REPO=%s\n' "$REPO_DIR"
	printf 'NIDUS_SHARE=%s\n' "$share"
	printf 'NIDUS_CACHE=%s\n' "$(cache_dir)"
	if kernel_ready; then
		printf 'NIDUS_KERNEL=%s\n' "$entry/bzImage"
		printf 'NIDUS_VMLINUX=%s\n' "$entry/vmlinux"
		printf 'NIDUS_KBUILD=%s\n' "$entry/build"
	fi
	for version in "${STOCK_VERSIONS[@]}"; do
		stock_ready "$version" || continue
		name=${version//./_}
		printf 'NIDUS_KERNEL_%s=%s\n' "$name" "$(stock_dir "$version")/vmlinuz"
		printf 'NIDUS_MODULES_%s=%s\n' "$name" "$(stock_dir "$version")/modules"
	done
	printf 'NIDUS_INITRAMFS=%s\n' "$(images_dir)"
	if tree_ready; then printf 'NIDUS_ROOT_IMAGE=%s\n' "$(tree_dir)/root.ext4"; fi
	if ((${#variables[@]})); then printf '%s\n' "${variables[@]}"; fi
}

run_metal() {
	local -a env
	mapfile -t env < <(run_environment)
	cd "$workdir" || exit 125
	exec timeout --foreground -k 10 "$timeout" env "${env[@]}" "$@"
}

# The initramfs of H: busybox, a script and a stock kernel's modules, rebuilt when one changes.
host_initramfs() {
	local file busybox modules='' inputs=("$LAB_DIR/host-init")
	busybox=$(tree_dir)/root/usr/bin/busybox
	inputs+=("$busybox")
	if host_is_stock; then
		modules=$(stock_dir "$variant")/modules
		inputs+=("${modules%/*}/packages" "$modules/host.order")
	fi
	file=$(cache_dir)/host-init/$(key "${inputs[@]}").cpio
	[[ -s $file ]] || with_lock host-init build_host_initramfs "$file" "$busybox" "$modules"
	printf '%s\n' "$file"
}

build_host_initramfs() {
	local file=$1 busybox=$2 modules=$3 scratch name
	[[ -s $file ]] && return 0
	need_packages cpio=cpio
	new_entry host-init
	scratch=$NEW_ENTRY
	mkdir -p "$scratch/root/bin"
	cp "$busybox" "$scratch/root/bin/busybox"
	install -m 755 "$LAB_DIR/host-init" "$scratch/root/init"
	if [[ $modules ]]; then
		mkdir "$scratch/root/modules"
		cp "$modules/host.order" "$scratch/root/modules/order"
		while read -r name; do
			cp "$modules/$name" "$scratch/root/modules/"
		done <"$modules/host.order"
	fi
	(cd "$scratch/root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$scratch/cpio"
	mv "$scratch/cpio" "$file"
	rm -rf "$scratch"
}

# H's kernel may be one of ours or one of Debian's, whose drivers are modules.
host_is_stock() {
	[[ " ${STOCK_VERSIONS[*]} " == *" $variant "* ]]
}

check_setup() {
	local missing=()
	[[ $KERNEL_VARIANT == default ]] || kernel_ready ||
		die "the kernel variant $KERNEL_VARIANT is not built; run: kernel-patches/build --variant $KERNEL_VARIANT"
	tree_ready || missing+=("the Debian tree")
	if host_is_stock; then
		stock_ready "$variant" || missing+=("Debian's kernel $variant")
	else
		kernel_ready "$variant" || missing+=("the kernel (variant $variant)")
	fi
	((${#missing[@]} == 0)) && return
	local list
	list=$(printf '%s and ' "${missing[@]}")
	if [[ ${missing[0]} == "the kernel"* && $variant != default ]]; then
		die "the kernel variant $variant is not built; run: kernel-patches/build --variant $variant"
	fi
	die "not set up yet: ${list% and } not in the cache $(cache_dir); run: guest-tests/lab/lab setup"
}

# add_share TAG MODE PATH: a directory of this machine, seen in H at the same path.
add_share() {
	local ro=off
	[[ $2 == ro ]] && ro=on
	# A comma ends a value in QEMU's syntax; doubled it is a comma.
	qemu+=(-fsdev "local,id=$1,path=${3//,/,,},security_model=none,multidevs=remap,readonly=$ro"
		-device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
	[[ $1 == run ]] || printf '%s %s %s\n' "$1" "$2" "$3" >>"$work/mounts"
}

write_command() {
	local line
	{
		echo "umask 022"
		echo "export HOME=/tmp TERM=${TERM:-dumb} LANG=C.UTF-8"
		echo "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		while read -r line; do
			printf 'export %q\n' "$line"
		done < <(run_environment)
		if ((interactive)); then
			stty -a 2>/dev/null </dev/tty |
				sed -nE 's/.*rows ([0-9]+); columns ([0-9]+).*/stty rows \1 cols \2/p'
		fi
		printf 'cd %q || exit 125\n' "$workdir"
		printf 'exec'
		printf ' %q' "$@"
		echo
	} >"$work/command"
}

machine_words() {
	local root append kernel
	if host_is_stock; then
		kernel=$(stock_dir "$variant")/vmlinuz
	else
		kernel=$(kernel_entry "$variant")/vmlinux
	fi
	root=$(tree_dir)/root
	tree_command /usr/bin/qemu-system-x86_64
	append="console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1 tsc=reliable random.trust_cpu=on $append_words"
	qemu=("${TREE_COMMAND[@]}" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios"
		-name nidus-lab -nodefaults -no-user-config -display none -no-reboot
		-machine q35,vmport=off,hpet=off -cpu "$cpu_model" -smp "$cpus" -m "$mem"
		-kernel "$kernel" -initrd "$(host_initramfs)" -append "$append"
		-drive "if=none,id=root,format=raw,readonly=on,file.locking=off,file=${root//,/,,}.ext4"
		-device virtio-blk-pci,drive=root
		-device virtio-serial-pci)
	if ((icount)); then
		# Time counts instructions: the same run takes the same virtual time on any machine.
		qemu+=(-accel tcg,thread=single -icount shift=1,sleep=off -rtc clock=vm)
	else
		qemu+=(-accel tcg,thread=multi)
	fi
	if ((iommu)); then
		# Before the devices it translates for.
		qemu+=(-device intel-iommu,intremap=on,caching-mode=on,device-iotlb=on,aw-bits=48)
	fi
	if ((show_console)); then
		qemu+=(-add-fd "fd=11,set=3" -chardev "file,id=console,path=/dev/fdset/3,append=on,logfile=${work//,/,,}/console.log")
	else
		qemu+=(-chardev "file,id=console,path=${work//,/,,}/console.log")
	fi
	qemu+=(-serial chardev:console)
	if ((interactive)); then
		qemu+=(-chardev stdio,id=tty,signal=off -device virtconsole,chardev=tty)
	else
		qemu+=(-add-fd fd=10,set=1 -chardev file,id=out,path=/dev/fdset/1,append=on
			-device virtserialport,chardev=out,name=nidus.out
			-add-fd fd=11,set=2 -chardev file,id=err,path=/dev/fdset/2,append=on
			-device virtserialport,chardev=err,name=nidus.err)
	fi
	: >"$work/mounts"
	add_share run rw "$work"
	add_share repo "$repo_mode" "$REPO_DIR"
	add_share cache ro "$(cache_dir)"
	add_share share rw "$share"
	qemu+=("${extra_qemu[@]}")
}

# watch: ends QEMU when H does not come up, stands still, or the command takes too long. It sleeps in
# a read, so that killing it leaves no child behind.
#
# An emulated H has lost its timer interrupts a few times: its clock stops, and with it every limit
# of what runs there. Looks are counted, not seconds: this machine may have been asleep.
watch() {
	local pid=$1 never now boot_end run_end beat last='' looks=0
	exec {never}<> <(:)
	now=$(date +%s)
	boot_end=$((now + boot_timeout))
	run_end=$((now + timeout))
	while now=$(date +%s); do
		if ((now >= run_end)); then
			echo timeout >"$work/verdict"
		elif ((now >= boot_end)) && [[ ! -e $work/up ]]; then
			echo boot >"$work/verdict"
		elif beat=$(stat -c %Y "$work/beat" 2>/dev/null) && [[ $beat == "$last" ]] &&
			((++looks >= 2 * still_timeout)); then
			echo still >"$work/verdict"
		else
			if [[ $beat != "$last" ]]; then last=$beat looks=0; fi
			read -rt 0.5 -u "$never" || true
			continue
		fi
		kill -TERM "$pid" 2>/dev/null
		read -rt 5 -u "$never" || true
		kill -KILL "$pid" 2>/dev/null
		return
	done
}

# stop_machine [STATUS]: what a signal or the end of this program does.
stop_machine() {
	local pid
	trap - INT TERM HUP EXIT
	for pid in ${watch_pid:-} ${qemu_pid:-}; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	if [[ ${qemu_pid:-} ]]; then
		wait "$qemu_pid" 2>/dev/null || true
	fi
	if ((interactive)) && [[ ${tty_state:-} ]]; then
		stty "$tty_state" </dev/tty 2>/dev/null || true
	fi
	if [[ ${work:-} && -d $work ]]; then
		mv -f "$work/console.log" "$logs/console.log" 2>/dev/null || true
		mv -f "$work/qemu.log" "$logs/qemu.log" 2>/dev/null || true
		rm -rf "$work"
	fi
	if [[ ${1:-} ]]; then exit "$1"; fi
}

show_end() {
	warn "$1"
	if [[ -s $work/qemu.log ]]; then
		warn "QEMU said:"
		grep -v "TCG doesn't support" "$work/qemu.log" | tail -n 10 | sed 's/^/  | /' >&2
	fi
	if [[ -s $work/console.log ]]; then
		warn "the last lines of H's console (all of it: $logs/console.log):"
		tail -n 30 "$work/console.log" | tr -d '\r' | sed 's/^/  | /' >&2
	elif [[ ! -s $work/qemu.log ]]; then
		warn "H's console stayed silent"
	fi
}

# judge QEMU_STATUS: prints what went wrong, if anything, and sets STATUS.
judge() {
	local qemu_status=$1 verdict=''
	[[ -e $work/verdict ]] && verdict=$(<"$work/verdict")
	if [[ -s $work/status ]]; then
		STATUS=$(<"$work/status")
	elif [[ $verdict == timeout ]]; then
		STATUS=124
		show_end "the command did not end within $timeout s (--timeout); H was stopped"
	elif [[ $verdict == boot ]]; then
		STATUS=125
		show_end "H did not come up within $boot_timeout s; it was stopped"
	elif [[ $verdict == still ]]; then
		STATUS=125
		show_end "H has stood still for $still_timeout s (its clock has stopped); it was ended"
	elif grep -q 'Kernel panic' "$work/console.log" 2>/dev/null; then
		STATUS=125
		show_end "H's kernel panicked"
	elif ((qemu_status != 0)); then
		STATUS=125
		show_end "QEMU ended with status $qemu_status before the command did"
	else
		STATUS=125
		show_end "H went down before the command ended"
	fi
}

run_lab() {
	local -a qemu=()
	local out_pid err_pid status=0
	mkdir -p "$logs" "$share"
	share=$(cd "$share" && pwd -P)
	work=$(mktemp -d "${TMPDIR:-/tmp}/nidus-lab.XXXXXX")
	trap 'stop_machine' EXIT
	trap 'stop_machine 130' INT
	trap 'stop_machine 143' TERM
	trap 'stop_machine 129' HUP
	machine_words
	write_command "$@"
	cp "$LAB_DIR/host-start" "$work/start"
	if ((icount)); then : >"$work/counting"; fi
	QEMU_MODULE_DIR=$(tree_dir)/root/usr/lib/x86_64-linux-gnu/qemu
	export QEMU_MODULE_DIR

	if ((interactive)); then
		: >"$work/interactive"
		tty_state=$(stty -g </dev/tty)
		setpriv --pdeathsig TERM -- "${qemu[@]}" </dev/tty 2>"$work/qemu.log" &
		qemu_pid=$!
	else
		# QEMU wants descriptors opened for writing only, which a terminal's are not: hence cat.
		exec 10> >(exec cat)
		out_pid=$!
		exec 11> >(exec cat >&2 10>&-)
		err_pid=$!
		setpriv --pdeathsig TERM -- "${qemu[@]}" </dev/null >"$work/qemu.log" 2>&1 &
		qemu_pid=$!
		exec 10>&- 11>&-
	fi
	watch "$qemu_pid" >/dev/null 2>&1 &
	watch_pid=$!
	wait "$qemu_pid" || status=$?
	qemu_pid=
	kill "$watch_pid" 2>/dev/null || true
	wait "$watch_pid" 2>/dev/null || true
	watch_pid=
	if ((!interactive)); then
		# All the output is out before the status is.
		wait "$out_pid" "$err_pid" 2>/dev/null || true
	fi
	judge "$status"
	exit "$STATUS"
}
