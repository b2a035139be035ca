# Bare guests: freestanding test kernels, as 32-bit multiboot images. A guest NAME is NAME.S,
# NAME.c or NAME/*.c, together with lib/ (but for NAME.S, which stands alone).
#
# The code is 64-bit. It is linked as such and then wrapped into an ELF32 image, which is what
# multiboot loaders take: no 32-bit compiler or library is needed. What a guest shares with the VMM is
# layouts alone: viommu/spec.h and devices/sdma_regs.h.

BARE         := guest-tests/bare
BARE_GUESTS  := $(notdir $(basename $(wildcard $(BARE)/*.c)) $(patsubst %/,%,$(dir $(wildcard $(BARE)/*/main.c))))
BARE_ALONE   := $(notdir $(basename $(wildcard $(BARE)/*.S)))
BARE_ELF     := $(patsubst %,$(BUILD)/$(BARE)/%.elf,$(BARE_GUESTS) $(BARE_ALONE))
BARE_CC      ?= gcc
BARE_OBJCOPY ?= objcopy
BARE_LIB_SRC := $(wildcard $(BARE)/lib/*.S $(BARE)/lib/*.c)
BARE_CFLAGS  := -std=gnu17 -O2 -g -m64 -march=x86-64 -mno-red-zone -mgeneral-regs-only -mcmodel=small \
                -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
                -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-builtin \
                -Wall -Wextra -Werror -Wshadow -Wimplicit-fallthrough -Wundef -Wvla \
                -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
BARE_LDFLAGS := -m elf_x86_64 -nostdlib -static -z max-page-size=0x1000 -z noexecstack --build-id=none \
                --no-warn-rwx-segments -T $(BARE)/bare.ld

# The objects of guest $(1): those of NAME.c or NAME/*.c, and the library's.
bare_objects = $(patsubst %,$(BUILD)/%.o,$(wildcard $(BARE)/$(1).c $(BARE)/$(1)/*.c) $(BARE_LIB_SRC))

bare: $(BARE_ELF)

$(BUILD)/$(BARE)/%.c.o: $(BARE)/%.c
	@mkdir -p $(@D)
	$(call say,BARE,$<)
	$(Q)$(BARE_CC) -I$(BARE) -I. $(BARE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/$(BARE)/%.S.o: $(BARE)/%.S
	@mkdir -p $(@D)
	$(call say,BARE,$<)
	$(Q)$(BARE_CC) -I$(BARE) -I. $(BARE_CFLAGS) -MMD -MP -c -o $@ $<

define BARE_GUEST
$(BUILD)/$(BARE)/$(1).elf64: $(if $(wildcard $(BARE)/$(1).S),$(BUILD)/$(BARE)/$(1).S.o,$(call bare_objects,$(1))) $(BARE)/bare.ld
	@mkdir -p $$(@D)
	$(Q)$$(LD) $$(BARE_LDFLAGS) -o $$@ $$(filter %.o,$$^)
endef
$(foreach guest,$(BARE_GUESTS) $(BARE_ALONE),$(eval $(call BARE_GUEST,$(guest))))

$(BUILD)/$(BARE)/%.elf: $(BUILD)/$(BARE)/%.elf64
	$(Q)$(BARE_OBJCOPY) -S -O elf32-i386 $< $@

.PHONY: bare
