/** [levels + 1] half way between the levels; the outermost cells have no end. */
export function cellEdges(table: Float32Array): Float64Array {
  const edges = new Float64Array(table.length + 1)
  for (let i = 1; i < table.length; i++) edges[i] = (table[i - 1]! + table[i]!) / 2
  edges[0] = Number.NEGATIVE_INFINITY
  edges[table.length] = Number.POSITIVE_INFINITY
  return edges
}

/** [levels] the widths of the cells; the outermost are taken as wide as their neighbours. */
export function cellWidths(edges: Float64Array): Float64Array {
  const widths = new Float64Array(edges.length - 1)
  for (let i = 1; i < widths.length - 1; i++) widths[i] = edges[i + 1]! - edges[i]!
  widths[0] = widths[1]!
  widths[widths.length - 1] = widths[widths.length - 2]!
  return widths
}

/** The cell that holds `value`. */
export function cellOf(edges: Float64Array, value: number): number {
  let low = 0
  let high = edges.length - 2
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (edges[middle]! <= value) low = middle
    else high = middle - 1
  }
  return low
}
