/** Go templates for --format: evaluation. */
import { FUNCTIONS } from "./go-template-functions.ts";
import { type Node, type Operand, type Pipe, parseTemplate, templateError } from "./go-template-parse.ts";
import { type GoValue, goString, isStruct, isTrue, sortedEntries } from "./go-value.ts";

/** A template that is ready to be used on many values. */
export interface Template {
  render(data: GoValue): string;
}

/** Parses a template. Throws `usage`, as does render() for a field that does not exist. */
export function compileTemplate(source: string): Template {
  const nodes = shallow(() => parseTemplate(source));
  return {
    render: (data) => {
      const scope: Scope = { dot: data, variables: new Map([["$", { value: data }]]), out: [] };
      shallow(() => execute(nodes, scope));
      return scope.out.join("");
    },
  };
}

/** Blocks within blocks take the stack, which ends somewhere. */
function shallow<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof RangeError ? templateError("it is nested too deeply") : error;
  }
}

/** Renders one value with a template. */
export function renderTemplate(source: string, data: GoValue): string {
  return compileTemplate(source).render(data);
}

interface Scope {
  dot: GoValue;
  variables: Map<string, { value: GoValue }>;
  out: string[];
}

type Flow = "break" | "continue" | undefined;

function execute(nodes: Node[], scope: Scope): Flow {
  for (const node of nodes) {
    const flow = executeNode(node, scope);
    if (flow !== undefined) return flow;
  }
  return undefined;
}

function executeNode(node: Node, scope: Scope): Flow {
  switch (node.kind) {
    case "text":
      scope.out.push(node.text);
      return undefined;
    case "action": {
      const value = evaluatePipe(node.pipe, scope);
      if (node.pipe.variables.length === 0) scope.out.push(goString(value));
      return undefined;
    }
    case "if":
    case "with": {
      const inner = nested(scope);
      const value = evaluatePipe(node.pipe, inner);
      if (!isTrue(value)) return execute(node.otherwise, inner);
      if (node.kind === "with") inner.dot = value;
      return execute(node.body, inner);
    }
    case "range":
      return executeRange(node, scope);
    case "break":
    case "continue":
      return node.kind;
  }
}

function nested(scope: Scope): Scope {
  return { dot: scope.dot, variables: new Map(scope.variables), out: scope.out };
}

function executeRange(node: Extract<Node, { kind: "range" }>, scope: Scope): Flow {
  const value = evaluatePipe({ ...node.pipe, variables: [] }, scope);
  const items = rangeItems(value);
  if (items.length === 0) return execute(node.otherwise, nested(scope));
  for (const [key, item] of items) {
    const inner = nested(scope);
    inner.dot = item;
    const [first, second] = node.pipe.variables;
    if (second !== undefined) {
      inner.variables.set(first!, { value: key });
      inner.variables.set(second, { value: item });
    } else if (first !== undefined) {
      inner.variables.set(first, { value: item });
    }
    if (execute(node.body, inner) === "break") break;
  }
  return undefined;
}

/** Of a range over a number; more is a mistake, and nobody waits for it. */
const MOST_ROUNDS = 1_000_000;

function rangeItems(value: GoValue): [GoValue, GoValue][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((item, i) => [i, item]);
  if (value instanceof Map) return sortedEntries(value);
  if (typeof value === "number" && value <= MOST_ROUNDS)
    return Array.from({ length: Math.max(0, value) }, (_, i) => [i, i]);
  throw templateError(`range cannot iterate over ${goString(value)}`);
}

function evaluatePipe(pipe: Pipe, scope: Scope): GoValue {
  let value: GoValue;
  pipe.commands.forEach((command, i) => {
    value = evaluateCommand(command, i === 0 ? [] : [value], scope);
  });
  const [name] = pipe.variables;
  if (name === undefined) return value;
  if (!pipe.assigns) scope.variables.set(name, { value });
  else variable(name, scope).value = value;
  return value;
}

function variable(name: string, scope: Scope): { value: GoValue } {
  const found = scope.variables.get(name);
  if (found === undefined) throw templateError(`undefined variable ${JSON.stringify(name)}`);
  return found;
}

/** `extra` is what a pipe passes on: the last argument. */
function evaluateCommand(command: Operand[], extra: GoValue[], scope: Scope): GoValue {
  const [first, ...rest] = command as [Operand, ...Operand[]];
  if (first.kind !== "function") {
    if (rest.length > 0 || extra.length > 0) throw templateError("only a function can have arguments");
    return evaluateOperand(first, scope);
  }
  // These two stop at the first operand that decides.
  if (first.name === "and" || first.name === "or") return evaluateLogic(first.name, rest, extra, scope);
  const call = Object.hasOwn(FUNCTIONS, first.name) ? FUNCTIONS[first.name] : undefined;
  if (call === undefined) throw templateError(`function ${JSON.stringify(first.name)} not defined`);
  return call(...rest.map((operand) => evaluateOperand(operand, scope)), ...extra);
}

function evaluateLogic(name: "and" | "or", operands: Operand[], extra: GoValue[], scope: Scope): GoValue {
  let value: GoValue;
  for (const operand of operands) {
    value = evaluateOperand(operand, scope);
    if (isTrue(value) === (name === "or")) return value;
  }
  return extra.length > 0 ? extra[0] : value;
}

function evaluateOperand(operand: Operand, scope: Scope): GoValue {
  switch (operand.kind) {
    case "literal":
      return operand.value;
    case "dot":
      return scope.dot;
    case "field":
      return follow(scope.dot, operand.path);
    case "variable":
      return follow(variable(operand.name, scope).value, operand.path);
    case "pipe":
      return follow(evaluatePipe(operand.pipe, nested(scope)), operand.path);
    case "function":
      return evaluateCommand([operand], [], scope);
  }
}

function follow(value: GoValue, path: string[]): GoValue {
  return path.reduce(fieldOf, value);
}

/** Documents carry their JSON names, templates Go's: `.OCIv1.RootFS.DiffIDs` is rootfs.diff_ids. */
const plainName = (name: string): string => name.replace(/[_.]/g, "").toLowerCase();

function fieldOf(value: GoValue, name: string): GoValue {
  if (value instanceof Map) return value.get(name);
  if (value === null) throw templateError(`nil has no field ${JSON.stringify(name)}`);
  if (value === undefined) return undefined;
  if (!isStruct(value)) throw templateError(`can't evaluate field ${name} in ${goString(value)}`);
  if (Object.hasOwn(value, name)) return value[name];
  const wanted = plainName(name);
  const names = Object.getOwnPropertyNames(value);
  const key = names.find((candidate) => plainName(candidate) === wanted);
  if (key === undefined)
    throw templateError(`can't evaluate field ${name}: it is none of ${names.join(", ")}`);
  return value[key];
}
