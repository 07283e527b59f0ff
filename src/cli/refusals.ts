/** Why flags and commands of Buildah and skopeo are refused. They are known by name, so that none is taken for a slip. */

const ENCRYPTION = "encrypted layers are not supported";
const ENCLAVES = "confidential workloads need an encrypted disk image and an attestation server";

const FLAGS: Record<string, string> = {
  "add-compression": "manifest push has it, for the images of a list",
  "additional-tag": "tag the copy with another copy, or in the store",
  cw: ENCLAVES,
  "decryption-key": ENCRYPTION,
  "encrypt-layer": ENCRYPTION,
  "encryption-key": ENCRYPTION,
  imagestore:
    "a store is one directory, and any number of jobs may use it at once; bases for several stores can be in one OCI layout, for FROM oci:DIR:NAME",
  "layer-label": "there are no images of single steps that could have labels",
  "multi-arch": "use --all or --platform",
  "reference-time": "use --timestamp or --source-date-epoch",
  "remove-signatures": "signatures are never copied",
  "sign-by": "signing is left to skopeo and cosign",
  "sign-by-sigstore-private-key": "signing is left to skopeo and cosign",
  "sign-passphrase-file": "signing is left to skopeo and cosign",
  "transient-store": "what is running is under --runroot already; containers outlive a reboot",
};

const COMMANDS: Record<string, string> = {
  mkcw: ENCLAVES,
};

/** Throws where a table refuses a flag about which nothing is said here; a test asks for all. */
export function flagRefusal(name: string): string {
  const reason = FLAGS[name];
  if (reason === undefined) throw new Error(`Nothing says why --${name} is refused`);
  return reason;
}

/** Why a command is refused; undefined for any that is not. */
export function commandRefusal(name: string): string | undefined {
  return Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
}
