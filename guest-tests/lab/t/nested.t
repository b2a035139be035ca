#!/bin/bash
# A guest of Nidus runs KVM, and Nidus again.
. "$(dirname "$0")/lib.sh"

static=$NIDUS_REPO/build/nidus-static
mkdir -p "$W/nested.d"
cp "$static" "$W/nested.d/nidus"
cp "$KERNEL" "$W/nested.d/bzImage"
cp "$NIDUS_INITRAMFS/minimal.cpio" "$W/nested.d/minimal.cpio"
bare "$W/nested.d/bare" "$(code_exit 21)"
script nested <<'GUEST'
/nidus caps | head -n 3
/nidus run -k /bare -m 16M --exit-port </dev/null
echo "bare $?"
/nidus run -k /bzImage -i /minimal.cpio -m 96M -p 'console=ttyS0 quiet panic=-1' </dev/null >/tmp/inner 2>&1
echo "status $?"
sed 's/^/inner: /' /tmp/inner
GUEST
linux nested -m 512M
ended nested 0 'a guest that is a host ends by itself'
is 'in it, nidus runs a bare guest' "$(said nested bare)" 43
is 'in it, nidus boots Linux, which powers off' "$(said nested status)" 0
like 'in it, Linux reaches its init' "$(<"$W/nested.out")" 'inner: nidus-guest: init reached'
done_testing
