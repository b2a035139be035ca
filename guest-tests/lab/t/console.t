#!/bin/bash
# The serial port and the virtio console: input, output, the way out, and the terminal afterwards.
. "$(dirname "$0")/lib.sh"

# on_terminal NAME STEP... -- COMMAND...: see terminal.py. Its report is in $W/NAME.report.
on_terminal() {
	local name=$1
	shift
	LIMIT=$LIMIT python3 "$(dirname "$0")/terminal.py" "$W/$name.out" "$@" >"$W/$name.report" 2>&1
}

report() { # NAME ROW STATUS: what happened, and how the terminal is.
	is "$2: exit code" "$(sed -n 's/^status //p' "$W/$1.report")" "$3" || note "$(cat "$W/$1.report")"
	is "$2: the terminal was raw meanwhile" "$(sed -n 's/^raw //p' "$W/$1.report")" yes
	is "$2: the terminal is as before" "$(sed -n 's/^restored //p' "$W/$1.report")" yes
}

bare "$W/print" "$CODE_PRINT"
bare "$W/halt" "$CODE_READY $CODE_HALT"
# These wait for a key first.
CODE_KEY='66 ba fd 03 ec a8 01 74 fb'
bare "$W/reset" "$CODE_READY $CODE_KEY $CODE_RESET"
# As CODE_CRASH, 19 bytes later.
bare "$W/crash" "$CODE_READY $CODE_KEY 0f 01 1d 7b 00 10 00 cc 00 00 00 00 00 00"
# Echoes what comes in on COM1, plus one.
bare "$W/echo" "$CODE_READY 66 ba fd 03 ec a8 01 74 f7 66 ba f8 03 ec fe c0 ee eb ed"

on_terminal quit 'wait=U' 'send=\x01x' -- "$NIDUS" run -k "$W/print" -m 16M
report quit 'Ctrl-A x' 5
on_terminal asleep 'wait=U' 'send=\x01x' -- "$NIDUS" run -k "$W/halt" -m 16M
report asleep 'Ctrl-A x while the guest sleeps' 5
on_terminal help 'wait=U' 'send=\x01h' 'wait=Ctrl-A x' 'send=\x01x' -- "$NIDUS" run -k "$W/halt" -m 16M
report help 'Ctrl-A h says what there is' 5
on_terminal term 'wait=U' signal=15 -- "$NIDUS" run -k "$W/print" -m 16M
report term SIGTERM 143
on_terminal reset 'wait=U' send=k -- "$NIDUS" run -k "$W/reset" -m 16M
report reset 'a reset' 3
on_terminal crash 'wait=U' send=k -- "$NIDUS" run -k "$W/crash" -m 16M
report crash 'a crash of the guest' 4
# Sent by someone else, it comes back only if it is sent again.
on_terminal segv 'wait=U' signal=11 cooked= signal=11 -- "$NIDUS" run -k "$W/halt" -m 16M
report segv 'a crash of the VMM' 139
on_terminal typed 'wait=U' 'send=HAL\x01\x01' 'wait=IBM\x02' 'send=\x03' 'wait=\x04' 'send=\x01x' \
	-- "$NIDUS" run -k "$W/echo" -m 16M
report typed 'keys reach the guest, Ctrl-C and (twice typed) Ctrl-A among them' 5
is 'and nothing is missing' "$(grep -c missed "$W/typed.report")" 0
on_terminal bad 'wait=nidus' -- "$NIDUS" run -k /nowhere
is 'bad input: the terminal is as before' "$(sed -n 's/^restored //p' "$W/bad.report")" yes

on_terminal linux 'wait=/ # ' 'send=echo sum-$((40+2))\n' 'wait=sum-42' 'send=exit\n' -- \
	"$NIDUS" run -k "$KERNEL" -i "$INITRD" -m 128M -p 'console=ttyS0 quiet nidus.end=shell'
report linux 'a shell in Linux on the serial port, and power-off' 0
is 'the shell answered' "$(grep -c missed "$W/linux.report")" 0

# --- Pipes: a script types, Linux answers; serial and virtio console. ---

interpret='echo ready; while read -r line; do eval "$line"; done'
script serial <<<"$interpret"
mkfifo "$W/keys"
exec {keys}<>"$W/keys"
IN=$W/keys
linux serial -m 128M
wait_line serial '^ready'
echo 'echo product $((6 * 7))' >&"$keys"
wait_line serial '^product'
is 'serial port: a line typed into a pipe is executed' "$(said serial product)" 42
# As fast as a pipe gives it: nothing may be lost between pipe and UART.
{
	echo 'stty -echo; n=0; while read -r l && [ "$l" != end ]; do n=$((n + ${#l})); done; echo; echo "got $n"'
	for i in {1..200}; do echo 0123456789abcdef; done
	echo end
} >&"$keys"
wait_line serial '^got'
is 'serial port: 3400 bytes at once arrive' "$(said serial got)" 3200
echo 'seq 1 4000; echo; echo exit' >&"$keys"
echo exit >&"$keys"
ended serial 0 'serial port: the guest ends when its script does'
is 'serial port: 19 KB of output are all there, in order' \
	"$(tr -d '\r' <"$W/serial.out" | grep -xE '[0-9]+')" "$(seq 1 4000)"

script hvc <<<"exec <>/dev/hvc0 >&0 2>&0; stty -echo; $interpret"
exec {keys}>&-
rm "$W/keys" && mkfifo "$W/keys"
exec {keys}<>"$W/keys"
linux hvc -m 128M --serial "file=$W/ttyS0" --console stdio
IN=/dev/null
wait_line hvc '^ready'
echo 'echo product $((7 * 8))' >&"$keys"
wait_line hvc '^product'
is 'virtio console: a line typed into a pipe is executed' "$(said hvc product)" 56
echo 'seq 1 4000; exit' >&"$keys"
ended hvc 0 'virtio console: the guest ends when its script does'
is 'virtio console: 19 KB of output are all there, in order' \
	"$(tr -d '\r' <"$W/hvc.out" | grep -xE '[0-9]+')" "$(seq 1 4000)"
like '--serial file=: the serial port went to the file' "$(<"$W/ttyS0")" 'init reached'
bare "$W/bye" "$CODE_READY $CODE_RESET"
start appended -k "$W/bye" -m 16M --serial "file=$W/ttyS0"
ended appended 3 '--serial file=: a second VM'
like '--serial file=: it is appended to' "$(tr -d '\0' <"$W/ttyS0")" 'init reached.*U'
start off -k "$W/bye" -m 16M --serial off
ended off 3 '--serial off'
is '--serial off: nothing is printed' "$(cat "$W/off.out")" ''
done_testing
