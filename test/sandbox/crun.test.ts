// Protects the contract of the sandbox (sandbox/types.ts) for crun.
import { sandboxSuite } from "./suite.ts";

sandboxSuite("crun");
