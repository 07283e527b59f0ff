// Protects the contract of the sandbox (sandbox/types.ts) for runc.
import { sandboxSuite } from "./suite.ts";

sandboxSuite("runc");
