const candidates = [',', ';', '\t', '|']

/** Excel's first line that states the delimiter. */
export const statedDelimiter = /^sep=(.)?\s*$/i

/**
 * Returns the delimiter of a CSV file: the one that its first line states, or the one with which the header has the most
 * columns that `isKnown` accepts; of equals, the one with the most columns.
 */
export function detectDelimiter(sample: string, isKnown: (name: string) => boolean): string {
  const stated = /^\s*sep=([^\r\n])[\r\n]/i.exec(sample)?.[1]
  if (stated !== undefined) return stated
  let best = { delimiter: ',', known: -1, columns: 0 }
  for (const delimiter of candidates) {
    const names = splitHeader(sample, delimiter)
    const found = { delimiter, known: names.filter(isKnown).length, columns: names.length }
    if (found.known > best.known || (found.known === best.known && found.columns > best.columns)) best = found
  }
  return best.delimiter
}

/** Splits the first line that is not blank. */
function splitHeader(sample: string, delimiter: string): string[] {
  const names: string[] = []
  let name = ''
  let inQuotes = false
  for (const character of sample.replace(/^[\s;,|]*[\r\n]+/, '')) {
    if (character === '"') inQuotes = !inQuotes
    else if (inQuotes) name += character
    else if (character === delimiter) {
      names.push(name)
      name = ''
    } else if (character === '\n' || character === '\r') break
    else name += character
  }
  return [...names, name]
}
