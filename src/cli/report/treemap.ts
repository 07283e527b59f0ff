/** Where the rectangles of a treemap lie: squarified (Bruls, Huizing, van Wijk, 2000), so that few are slivers. */

export interface Rectangle {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** A rectangle for each value, in the units of the area; values are positive, the largest first. */
export function treemap(values: readonly number[], area: Rectangle): Rectangle[] {
  const total = values.reduce((sum, value) => sum + value, 0);
  const scale = total === 0 ? 0 : (area.width * area.height) / total;
  const placed: Rectangle[] = [];
  let rest = area;
  for (let at = 0; at < values.length; ) {
    const side = Math.min(rest.width, rest.height);
    let end = at + 1;
    while (end < values.length && isBetter(values, at, end, side, scale)) end++;
    const row = values.slice(at, end).map((value) => value * scale);
    rest = placeRow(row, rest, placed);
    at = end;
  }
  return placed;
}

/** Whether the row of values from `at` to `end` has no worse proportions with the one at `end` too. */
function isBetter(values: readonly number[], at: number, end: number, side: number, scale: number): boolean {
  const worst = (to: number) => {
    const row = values.slice(at, to);
    const sum = row.reduce((total, value) => total + value, 0) * scale;
    const [largest, smallest] = [row[0]! * scale, row.at(-1)! * scale];
    return Math.max((side * side * largest) / (sum * sum), (sum * sum) / (side * side * smallest));
  };
  return worst(end + 1) <= worst(end);
}

/** Puts a row along the shorter side; returns what is left of the area. */
function placeRow(row: number[], area: Rectangle, placed: Rectangle[]): Rectangle {
  const sum = row.reduce((total, size) => total + size, 0);
  const isColumn = area.width >= area.height;
  const side = isColumn ? area.height : area.width;
  const depth = side === 0 ? 0 : sum / side;
  let offset = 0;
  for (const size of row) {
    const length = depth === 0 ? 0 : size / depth;
    placed.push(
      isColumn
        ? { left: area.left, top: area.top + offset, width: depth, height: length }
        : { left: area.left + offset, top: area.top, width: length, height: depth },
    );
    offset += length;
  }
  return isColumn
    ? { ...area, left: area.left + depth, width: Math.max(0, area.width - depth) }
    : { ...area, top: area.top + depth, height: Math.max(0, area.height - depth) };
}
