# shellcheck shell=bash
# Kernels of a few bytes, for tests that need a guest and not an operating system.

le32() {
	printf '%02x%02x%02x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

# bare FILE CODE: a multiboot kernel that is just this 32-bit code, in hexadecimal; it stands at
# 0x100060. The file is an ELF header, one program header, the multiboot header, and the code.
bare() {
	local code=${2// /} size
	size=$((0x60 + ${#code} / 2))
	{
		printf '7f454c46010101000000000000000000'
		printf '02000300'
		le32 1
		le32 0x100060
		le32 52
		le32 0
		le32 0
		printf '340020000100000000000000'
		le32 1
		le32 0
		le32 0x100000
		le32 0x100000
		le32 $size
		le32 $size
		le32 7
		le32 4096
		le32 0x1badb002
		le32 0
		le32 -0x1badb002
		printf '%s' "$code"
	} | perl -ne 'print pack "H*", $_' >"$1"
}

CODE_HALT='fa f4 eb fd'                                     # cli; hlt for ever
CODE_RESET='b0 fe e6 64 f4 eb fd'                           # the keyboard controller's reset line
CODE_CRASH='0f 01 1d 68 00 10 00 cc 00 00 00 00 00 00'      # int3 without an IDT
CODE_PRINT='66 ba f8 03 b0 55 ee b0 0a ee eb f8'            # "U\n" on COM1, for ever
CODE_READY='66 ba f8 03 b0 55 ee b0 0a ee'                  # "U\n" once
code_exit() { printf 'b0 %02x e6 f4 f4 eb fd' "$1"; }       # a byte to the exit port
