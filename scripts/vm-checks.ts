/** What Cooper must do on a real host: scripts of people who have just logged in, in this order, and what must come out. */

export type Login = "root" | "ranged" | "solo";

export interface Check {
  name: string;
  login: Login;
  /** For bash; standard error is in the output too. */
  script: string;
  /** All of them. */
  expected: RegExp[];
}

const IMPORT = "cooper import /srv/busybox.tar localhost/base && cooper from --name work localhost/base";

const build = (run: string, flags = "", before = "") =>
  `printf 'FROM localhost/base\\nRUN ${run}\\n' > Dockerfile; ${before} cooper bud --no-cache ${flags} . ; echo status $?`;

const DELEGATED = "systemd-run --user --scope -q -p Delegate=yes";
const HUNGRY = "head -c 100m /dev/zero | tail -c 90m > /dev/null";

const tier = (login: Login, number: number): Check[] => [
  {
    name: `doctor: tier ${number}`,
    login,
    script: "cooper doctor",
    expected: [new RegExp(`^Tier ${number},`, "m"), /^Builds work here$/m],
  },
  { name: "import, from", login, script: IMPORT, expected: [/^work$/m] },
  { name: "bud", login, script: build("chown 5:6 /etc && id"), expected: [/uid=0/, /^status 0$/m] },
  {
    name: "a private network",
    login,
    script: "cooper run --network private work -- ip address; echo status $?",
    expected: [/inet 10\.0\.2\.15/, /inet6 fe80/, /^status 0$/m],
  },
];

const limits = (login: Login, before: string): Check[] => [
  {
    name: "--memory holds, and the error says so",
    login,
    script: build(HUNGRY, "--memory 64m", before),
    expected: [/exit status 137/, /memory/, /^status (?!0)/m],
  },
  {
    name: "--memory and --cpu-quota",
    login,
    script: build(
      "cat /proc/self/cgroup",
      "--memory 64m --memory-swap 128m --cpu-period 100000 --cpu-quota 50000",
      before,
    ),
    expected: [/^0::.*\/cooper-\d+/m, /^status 0$/m],
  },
];

/** A shell function: until a command succeeds, for a minute. */
const WITHIN = 'within() { for i in $(seq 300); do "$@" && return; sleep 0.2; done; false; }';

const NOTHING_LEFT =
  "pgrep -u ranged -f cooper-keeper || echo none; grep cooper /proc/mounts || echo unmounted";

const nextLogin = (after: string): Check => ({
  name: `the container works at the next login, after ${after}`,
  login: "ranged",
  script: 'cooper run work cat /hello; cat "$(cooper mount work)/hello"; cooper umount work; cooper check',
  expected: [/^hello\nhello$/m, /no fault/],
});

export const CHECKS: readonly Check[] = [
  ...tier("root", 0),
  ...limits("root", ""),
  ...tier("ranged", 1),
  {
    name: "--memory without a delegated cgroup is refused, with what helps",
    login: "ranged",
    script: build("true", "--memory 64m"),
    expected: [/no cgroup is delegated/, /systemd-run --user --scope/, /^status (?!0)/m],
  },
  ...limits("ranged", DELEGATED),
  {
    name: "doctor in a delegated cgroup warns of nothing",
    login: "ranged",
    script: `${DELEGATED} cooper doctor; ${DELEGATED} cooper doctor | grep -c -v '^ok' | sed 's/^/lines: /'`,
    expected: [/commands can be limited/, /^lines: 3$/m],
  },
  {
    name: "--cpuset-cpus tells root what to give",
    login: "ranged",
    script: build("true", "--cpuset-cpus 0", DELEGATED),
    expected: [/no controller cpuset/, /systemctl edit user@\.service/, /^status (?!0)/m],
  },
  {
    name: "mount; its keeper is the user's, not the session's",
    login: "ranged",
    script: `m=$(cooper mount work) && echo hello > "$m/hello" && cooper run work cat /hello
      cat /proc/self/cgroup
      ${WITHIN}; within grep user@ /proc/$(pgrep -u ranged -f ^cooper-keeper)/cgroup`,
    expected: [
      /^hello$/m,
      /^0::.*\/session-\d+\.scope$/m,
      /^0::.*\/user@\d+\.service\/.*cooper-keeper-\d+\.scope$/m,
    ],
  },
  {
    name: "logout ends mounts",
    login: "root",
    script: `${WITHIN}; within test ! -e /run/user/$(id -u ranged) && echo gone; loginctl list-users; ${NOTHING_LEFT}`,
    expected: [/^gone$/m, /^none$/m, /^unmounted$/m],
  },
  nextLogin("logout"),
  {
    name: "umount ends the keeper's scope",
    login: "ranged",
    script: `${WITHIN}; scopes() { [ $(systemctl --user list-units --all --plain --no-legend 'cooper-keeper-*' | wc -l) = $1 ]; }
      cooper mount work; within scopes 1 && echo taken; cooper umount work; within scopes 0 && echo ended; cooper mount work`,
    expected: [/^taken$/m, /^ended$/m],
  },
  {
    name: "the end of a user's processes ends mounts",
    login: "root",
    script: `pkill -KILL -u ranged; sleep 2; ${NOTHING_LEFT}`,
    expected: [/^none$/m, /^unmounted$/m],
  },
  nextLogin("a kill"),
  ...tier("solo", 2),
];
