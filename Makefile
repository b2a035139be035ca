# Nidus. Two commands for users: `make run` and `make test`; `make help` lists the rest.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC      := gcc
endif
# make V=1 shows the commands.
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)')
VERSION := $(shell cat VERSION 2>/dev/null || echo 0.1)

PKGS     := libfdt libseccomp liburing
PKGFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
WARN     := -Wall -Wextra -Werror -Wshadow -Wimplicit-fallthrough -Wundef -Wvla \
            -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
CFLAGS   ?= -O2 -g
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DNIDUS_VERSION='"$(VERSION)"' $(PKGFLAGS)
NCFLAGS  := -std=gnu17 -pthread -ffunction-sections -fdata-sections -fstack-protector-strong \
            -fno-strict-aliasing $(WARN)
LDFLAGS  += -pthread -Wl,--gc-sections -Wl,-z,relro,-z,now
# pkg-config does not know libfdt on Debian 12.
LDLIBS   += -lfdt -luring

comma    := ,

LIB_SRC  := $(filter-out vmm/main.c,$(wildcard vmm/*.c)) $(wildcard devices/*.c) $(wildcard viommu/*.c)
LIB_SRC  += $(BUILD)/gen/sandbox_filters.c
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%)
UNIT_HELP := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(BUILD)/%)

all: $(BUILD)/nidus

$(BUILD)/nidus: $(BUILD)/obj/vmm/main.o $(BUILD)/libnidus.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libnidus.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(NCFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Seccomp filters are compiled here, not when a VM starts.
$(BUILD)/gen/sandbox_filters.c: $(BUILD)/gen/filters
	$(call say,GEN,$@)
	$(Q)$< >$@.tmp && mv $@.tmp $@

$(BUILD)/gen/filters: vmm/gen/filters.c vmm/sandbox_rules.c vmm/sandbox.h vmm/config.h
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(NCFLAGS) -O1 -o $@ $(filter %.c,$^) -lseccomp

# Unit tests: one program a file, with sanitizers; the helpers of tests/unit are linked into each.
SAN      := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_OBJ  := $(LIB_SRC:%.c=$(BUILD)/san/%.o) $(UNIT_HELP:%.c=$(BUILD)/san/%.o)

$(BUILD)/san/%.o: %.c
	@mkdir -p $(@D)
	$(call say,SAN,$<)
	$(Q)$(CC) $(CPPFLAGS) $(NCFLAGS) -O1 -g $(SAN) -MMD -MP -c -o $@ $<

$(BUILD)/libnidus-san.a: $(SAN_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/tests/unit/%: $(BUILD)/san/tests/unit/%.o $(BUILD)/libnidus-san.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(SAN) -o $@ $^ $(LDLIBS) -lcmocka -lseccomp

unit: $(UNIT_BIN)

# Its allocators fail when told to.
$(BUILD)/tests/unit/test_vtd_inject: private LDFLAGS += \
	$(patsubst %,-Wl$(comma)--wrap=%,malloc calloc aligned_alloc free mmap64 munmap)

# For the lab's test that every rule of the sandbox is used.
$(BUILD)/sandbox.rules: $(BUILD)/tests/unit/test_sandbox
	$(Q)$< --list >$@

# Tests of threads once more, with ThreadSanitizer; planted.c has the race that it has to find.
TSAN      := -fsanitize=thread -fno-omit-frame-pointer
TSAN_TEST := $(wildcard tests/unit/test_*races*.c)
TSAN_BIN  := $(TSAN_TEST:tests/unit/%.c=$(BUILD)/tests/tsan/%) $(BUILD)/tests/tsan/planted
TSAN_OBJ  := $(patsubst %.c,$(BUILD)/tsan/%.o,$(wildcard viommu/*.c tests/unit/vtd_*.c))

$(BUILD)/tsan/%.o: %.c
	@mkdir -p $(@D)
	$(call say,TSAN,$<)
	$(Q)$(CC) $(CPPFLAGS) $(NCFLAGS) -O1 -g $(TSAN) -MMD -MP -c -o $@ $<

$(BUILD)/libnidus-tsan.a: $(TSAN_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/tests/tsan/test_%: $(BUILD)/tsan/tests/unit/test_%.o $(BUILD)/libnidus-tsan.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(TSAN) -o $@ $^ -lcmocka

$(BUILD)/tests/tsan/planted: $(BUILD)/tsan/tests/tsan/planted.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(TSAN) -o $@ $^

tsan: $(TSAN_BIN)

# For the nested lab: the host backend on a real kernel. Static, as everything that goes there.
$(BUILD)/tests/lab/%: $(BUILD)/obj/tests/lab/%.o $(BUILD)/obj/tests/unit/vtd_fixture.o \
		$(BUILD)/libnidus.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -static -o $@ $^ $(LDLIBS)

# Fuzz targets: clang's libFuzzer, with their corpora in tests/fuzz/corpus/NAME.
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ_SAN     := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_OBJ     := $(LIB_SRC:%.c=$(BUILD)/fuzz/%.o) $(UNIT_HELP:%.c=$(BUILD)/fuzz/%.o)

$(BUILD)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(NCFLAGS) -O1 -g $(FUZZ_SAN) -MMD -MP -c -o $@ $<

$(BUILD)/libnidus-fuzz.a: $(FUZZ_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/tests/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.o $(BUILD)/libnidus-fuzz.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(LDFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)

fuzz: $(FUZZ_BIN)

# The same program with sanitizers, for hostile guests.
san: $(BUILD)/nidus-san
$(BUILD)/nidus-san: $(BUILD)/san/vmm/main.o $(LIB_SRC:%.c=$(BUILD)/san/%.o)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(SAN) -o $@ $^ $(LDLIBS)

include guest-tests/bare/bare.mk

# One file that runs anywhere, made for size: the whole program is optimised at once.
STATIC_FLAGS := -Os -flto=auto -fno-asynchronous-unwind-tables -fno-unwind-tables -fstack-protector
STATIC_LINK  := -static -s -Wl,-O2 -Wl,--sort-section=alignment -Wl,-z,noseparate-code \
                -Wl,--build-id=none

static: $(BUILD)/nidus-static
$(BUILD)/nidus-static: vmm/main.c $(LIB_SRC) $(wildcard vmm/*.h devices/*.h viommu/*.h)
	@mkdir -p $(@D)
	$(call say,STATIC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(NCFLAGS) $(STATIC_FLAGS) $(LDFLAGS) $(STATIC_LINK) -o $@ \
		$(filter %.c,$^) $(LDLIBS)

# Everything a bare Debian needs is installed by this script, once; see it for the list.
setup:
	@scripts/setup

run: setup
	@$(MAKE) --no-print-directory all
	@guest-tests/lab/demo

test: setup
	@$(MAKE) --no-print-directory all static san unit tsan fuzz bare $(BUILD)/sandbox.rules \
		$(BUILD)/tests/lab/vfio_host
	@tests/run

# Three levels: this machine, or QEMU, is the hardware of a host that is the hardware of a host.
nested: setup
	@$(MAKE) --no-print-directory all static $(BUILD)/tests/lab/vfio_host
	@guest-tests/lab/test $(notdir $(basename $(wildcard guest-tests/lab/t/nested-*.t)))

bench: setup
	@$(MAKE) --no-print-directory all static $(BUILD)/vtd_native
	@tests/bench/run

check: setup
	@scripts/check

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

MANDIR        ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions

install: all
	install -D -m 0755 $(BUILD)/nidus $(DESTDIR)$(PREFIX)/bin/nidus
	install -D -m 0644 docs/nidus.1 $(DESTDIR)$(MANDIR)/man1/nidus.1
	install -D -m 0644 docs/completion/nidus.bash $(DESTDIR)$(COMPLETIONDIR)/nidus

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/nidus $(DESTDIR)$(MANDIR)/man1/nidus.1 \
		$(DESTDIR)$(COMPLETIONDIR)/nidus

configs: $(patsubst configs/%.dts,$(BUILD)/configs/%.dtb,$(wildcard configs/*.dts))
$(BUILD)/configs/%.dtb: configs/%.dts
	@mkdir -p $(@D)
	dtc -q -I dts -O dtb -o $@ $<

clean:
	rm -rf $(BUILD)

help:
	@echo 'make setup      install the Debian packages that all else needs'
	@echo 'make            build/nidus'
	@echo 'make static     build/nidus-static, one file without libraries'
	@echo 'make run        set up what is needed and boot a Linux guest'
	@echo 'make test       set up what is needed and run every test'
	@echo 'make nested     pass-through with nested translation, in three levels'
	@echo 'make bench      measure, beside QEMU in the same run; writes build/bench.json'
	@echo 'make unit fuzz  build the unit tests and the fuzz targets; tsan: those of threads'
	@echo 'make check      clang-format, clang-tidy, cppcheck'
	@echo 'make configs    compile configs/*.dts'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make clean'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: all unit tsan fuzz san static setup run test nested bench check format install uninstall configs clean help
.SECONDARY:

# Micro-benchmark of translation, without a guest: build/vtd_native [--json].
$(BUILD)/vtd_native: tests/bench/vtd_native.c tests/unit/vtd_world.c tests/unit/vtd_fixture.c \
		$(BUILD)/libnidus.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(NCFLAGS) $(CFLAGS) $(LDFLAGS) -static -o $@ $^ $(LDLIBS)
