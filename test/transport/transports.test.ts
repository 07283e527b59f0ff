// Protects the contract of Source and Target: one suite, run on every transport.
import { transportSuite } from "./suite.ts";

transportSuite({ transport: "oci", at: (d) => `oci:${d}/layout:v1`, keepsDigests: true, holdsIndexes: true });
transportSuite({
  transport: "oci-archive",
  at: (d) => `oci-archive:${d}/a.tar:v1`,
  keepsDigests: true,
  holdsIndexes: true,
});
transportSuite({ transport: "dir", at: (d) => `dir:${d}/dir`, keepsDigests: true, holdsIndexes: true });
transportSuite({
  transport: "docker-archive",
  at: (d) => `docker-archive:${d}/d.tar:localhost/x:1`,
  keepsDigests: false,
  holdsIndexes: false,
});
