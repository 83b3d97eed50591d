// Parses the lines of NDJSON. JSON.parse loses the first of two equal keys and the notation of a number, and both matter: of
// two phone numbers, none may be lost silently, and 2.06555e9 is a number whose last digits a program has removed.

/** Returns the keys and values of a JSON object; numbers in scientific notation as their text. Returns undefined for another text. */
export function parseEntries(text: string): [string, unknown][] | undefined {
  const object = parseObject(text)
  if (object === undefined) return undefined
  const entries = Object.entries(object)
  const isPlain =
    text.split('":').length - 1 === entries.length && !spacedColon.test(text) && !scientificAnywhere.test(text)
  return isPlain ? entries : scan(text)
}

const spacedColon = /"\s+:/
const scientificAnywhere = /\de[-+]?\d/i
const scientific = /^-?\d+(?:\.\d+)?e[-+]?\d+$/i
const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gs

function parseObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Splits the text of a valid JSON object into its entries. */
function scan(text: string): [string, unknown][] {
  const entries: [string, unknown][] = []
  let depth = 0
  let key: string | undefined
  let from = 0
  for (const { 0: part, index } of text.matchAll(token)) {
    const isEnd = depth === 1 && (part === ',' || part === '}')
    if (isEnd && key !== undefined) {
      const value = text.slice(from, index).trim()
      entries.push([key, scientific.test(value) ? value : JSON.parse(value)])
      key = undefined
    } else if (depth === 1 && key === undefined && part.startsWith('"')) key = JSON.parse(part) as string
    else if (depth === 1 && part === ':') from = index + 1
    if (part === '{' || part === '[') depth++
    else if (part === '}' || part === ']') depth--
  }
  return entries
}
