#!/bin/sh
# An image from nothing but what it needs, with the host's own tools; as root or as any user, without `unshare`.
set -eu

# Where things are built: a container with a shell and a compiler's worth of tools.
build=$(cooper from localhost/busybox)
# What becomes the image: an empty one.
image=$(cooper from scratch)
trap 'cooper rm "$build" "$image" >/dev/null' EXIT

# Run in the one,
cooper run "$build" -- sh -c 'mkdir -p /out && echo "Hello from a minimal image" > /out/hello.txt'

# and take its result to the other, by a plain cp: a mounted container is a path.
root=$(cooper mount "$image")
mkdir -p "$root/bin" "$root/usr/share/hello"
cp "$(cooper mount "$build")/out/hello.txt" "$root/usr/share/hello/"
cooper umount "$build" "$image" >/dev/null

# copy does the same, with owners and modes.
cooper copy --from "$build" --chmod 755 "$image" /bin/busybox /bin/cat

# What runs, and as whom.
cooper config --entrypoint '["/bin/cat"]' --cmd /usr/share/hello/hello.txt --user 65534:65534 \
  --label org.opencontainers.image.title=hello "$image"

cooper commit "$image" localhost/hello
cooper push localhost/hello oci-archive:hello.tar
