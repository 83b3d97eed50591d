const candidates = [',', ';', '\t', '|']

/** Excel's first line that states the delimiter; some programs quote it. */
export const statedDelimiter = /^"?sep=(.)?"?\s*$/i

/** Number of rows at the beginning of a file among which the header is searched: titles may be above it. */
export const headerRows = 20

/**
 * Returns the delimiter of a CSV file: the one that its first line states, or the one with which the first row with a
 * column that `isPhone` accepts has the most columns that `isKnown` accepts; of equals, the one with the most columns.
 */
export function detectDelimiter(
  sample: string,
  isKnown: (name: string) => boolean,
  isPhone: (name: string) => boolean,
): string {
  const stated = /^\s*"?sep=([^\r\n])"?[\r\n]/i.exec(sample)?.[1]
  if (stated !== undefined) return stated
  let best = { delimiter: ',', row: Infinity, known: -1, columns: 0 }
  for (const delimiter of candidates) {
    const rows = splitRows(sample, delimiter, headerRows)
    const wide = findWideHeader(rows, isPhone)
    const at = wide < 0 ? rows.findIndex((names) => names.some(isPhone)) : wide
    const names = rows[Math.max(at, 0)] ?? []
    // a row with a single name is only a header if no delimiter makes one of several
    const row = wide >= 0 ? wide : headerRows + (at < 0 ? headerRows : at)
    const found = { delimiter, row, known: names.filter(isKnown).length, columns: names.length }
    const difference = best.row - found.row || found.known - best.known || found.columns - best.columns
    if (difference > 0) best = found
  }
  return best.delimiter
}

/** Returns the index of the first row that has a column for the phone number among others, or -1. */
export function findWideHeader(rows: string[][], isPhone: (name: string) => boolean): number {
  return rows.findIndex((names) => names.filter(isFilled).length > 1 && names.some(isPhone))
}

const isFilled = (text: string) => text.trim() !== ''

/** Splits the first rows of a sample that are not blank; the last of them may be incomplete. */
export function splitRows(sample: string, delimiter: string, limit: number): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  let cell = ''
  let inQuotes = false
  const endRow = () => {
    row.push(cell)
    if (row.some(isFilled)) rows.push(row)
    row = []
    cell = ''
  }
  for (const character of sample.replace(/^[\s;,|]*[\r\n]+/, '')) {
    if (character === '"') inQuotes = !inQuotes
    else if (inQuotes) cell += character
    else if (character === delimiter) {
      row.push(cell)
      cell = ''
    } else if (character !== '\n' && character !== '\r') cell += character
    else {
      endRow()
      if (rows.length === limit) return rows
    }
  }
  endRow()
  return rows
}
