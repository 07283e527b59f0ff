/**
 * Dockerfile text → instructions, as BuildKit's `docker/dockerfile:1` reads it.
 *
 * The lexer is our own. `dockerfile-ast` was measured first (0.7.1, Bun 1.4): loading it takes 23 ms where the whole
 * of `cooper` starts in 15; 300 lines take 11 ms, ours 1; and what it gives (blanks of legacy ENV gone, bodies of
 * here-documents among the arguments, no difference between JSON and shell form, no comments inside lines) would
 * have to be read from the text a second time to match BuildKit.
 */
import { CooperError, type Location, locateError } from "../base/errors.ts";
import { decodeName } from "../base/path-bytes.ts";
import { readBelowShebang } from "./directives.ts";
import type { HeredocStart } from "./heredoc.ts";
import type { Dockerfile, Heredoc, Instruction, Warning } from "./instruction.ts";
import { dropLineEnd, LineReader, type LogicalLine } from "./lines.ts";
import { parseInstruction } from "./parse-instruction.ts";
import { trim } from "./spaces.ts";

/**
 * Parses a Dockerfile. Bytes that are not UTF-8 survive as in base/path-bytes.ts. Throws `invalid` with the place.
 * That it begins with FROM is planBuild()'s to check: triggers of ONBUILD do not.
 */
export function parseDockerfile(input: string | Uint8Array, file: string): Dockerfile {
  const text = (typeof input === "string" ? input : decodeName(input)).replace(/^\ufeff/, "");
  if (text === "")
    throw new CooperError("invalid", "The Dockerfile is empty", { location: { file, line: 1 } });
  const dockerfile = new Parser(text, file).run();
  if (dockerfile.instructions.length === 0) {
    throw new CooperError("invalid", "The Dockerfile has no instructions", { location: { file, line: 1 } });
  }
  return dockerfile;
}

/**
 * Parses what an image's config or a stage keeps of ONBUILD. Everything in it is at the place of the FROM that sets
 * it off, and its escape character is always `\`. Throws `invalid`.
 */
export function parseTrigger(text: string, location: Location): Instruction {
  try {
    const { instructions } = parseDockerfile(text, location.file);
    const [instruction] = instructions;
    if (instructions.length !== 1 || instruction === undefined)
      throw new CooperError("invalid", "It is more than one instruction");
    if (instruction.kind === "from") throw new CooperError("invalid", "FROM cannot be a trigger");
    return { ...instruction, location, checkpoint: false, comments: [] };
  } catch (error) {
    if (!(error instanceof CooperError)) throw error;
    throw new CooperError(
      "invalid",
      `Cannot run the base image's trigger ONBUILD ${text}: ${error.message}`,
      {
        location,
        cause: error,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      },
    );
  }
}

const CHECKPOINT = /^checkpoint$/i;

class Parser {
  #reader: LineReader;
  #file: string;
  #text: string;
  #instructions: Instruction[] = [];
  #warnings: Warning[] = [];

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
    this.#reader = new LineReader(text, { onComment: (comment) => this.#comment(comment) });
  }

  run(): Dockerfile {
    for (let line = this.#next(); line !== undefined; line = this.#next())
      this.#instructions.push(this.#instruction(line));
    readBelowShebang(this.#text, this.#reader.directives);
    return {
      file: this.#file,
      instructions: this.#instructions,
      directives: this.#reader.directives,
      warnings: this.#warnings,
    };
  }

  #next(): LogicalLine | undefined {
    try {
      return this.#reader.nextLogical();
    } catch (error) {
      throw locateError(error, { file: this.#file, line: this.#reader.line });
    }
  }

  #comment(text: string): void {
    const last = this.#instructions.at(-1);
    if (last !== undefined && CHECKPOINT.test(text)) last.checkpoint = true;
  }

  #instruction(line: LogicalLine): Instruction {
    const location: Location = { file: this.#file, line: line.line, endLine: line.endLine };
    if (line.emptyLines) {
      const message = "Empty continuation line";
      this.#warnings.push({
        rule: "NoEmptyContinuation",
        message,
        location: { file: this.#file, line: line.endLine },
      });
    }
    const text = trim(line.text);
    const keyword = /^\S*/.exec(text)![0];
    const source = { location, keyword, text, comments: line.comments, checkpoint: false };
    const readBodies = (starts: HeredocStart[]) => {
      const bodies = starts.map((start) => this.#body(start));
      location.endLine = this.#reader.line;
      return bodies;
    };
    try {
      return parseInstruction(source, this.#reader.directives.escapeToken, readBodies);
    } catch (error) {
      throw locateError(error, location);
    }
  }

  #body(start: HeredocStart): Heredoc {
    const lines: string[] = [];
    for (let raw = this.#reader.next(); raw !== undefined; raw = this.#reader.next()) {
      const line = dropLineEnd(raw);
      if ((start.stripTabs ? line.replace(/^\t+/, "") : line) === start.name)
        return { ...start, content: lines.join("") };
      lines.push(raw);
    }
    throw new CooperError("invalid", `The here-document <<${start.name} has no end`, {
      hint: `A line with nothing but ${start.name} ends it`,
    });
  }
}
