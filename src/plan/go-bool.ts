/** Truth values as Go's strconv.ParseBool takes them. */

/** undefined for anything that is neither. */
export function parseGoBool(text: string): boolean | undefined {
  if (/^(?:1|t|T|true|True|TRUE)$/.test(text)) return true;
  return /^(?:0|f|F|false|False|FALSE)$/.test(text) ? false : undefined;
}
