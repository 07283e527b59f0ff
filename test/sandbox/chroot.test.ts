// Protects the contract of the sandbox (sandbox/types.ts) for chroot.
import { sandboxSuite } from "./suite.ts";

sandboxSuite("chroot");
