import { errors } from '../errors.ts'

// Names a file by its first bytes, so that an export in another format is rejected with its name and the way to save it.

const signatures: readonly [bytes: string, name: string][] = [
  ['d0cf11e0a1b11ae1', 'an Excel workbook (.xls)'],
  ['25504446', 'a PDF document'],
  ['425a68', 'compressed with bzip2'],
  ['28b52ffd', 'compressed with Zstandard'],
  ['fd377a585a00', 'compressed with xz'],
  ['377abcaf271c', 'a 7-Zip archive'],
  ['526172211a07', 'a RAR archive'],
  ['53514c69746520666f726d6174', 'an SQLite database'],
  ['50415231', 'a Parquet file'],
  ['ffd8ff', 'a picture'],
  ['89504e47', 'a picture'],
  ['fffe0000', 'UTF-32 text'],
  ['0000feff', 'UTF-32 text'],
]

const markup: readonly [start: RegExp, name: string][] = [
  [/^<(?:!doctype html|!--|html|head|body|table|meta|div|script)/i, 'an HTML page, for example of a login'],
  [/^<\?xml|^<[a-z]+[\s>]/i, 'an XML document'],
  [/^\{\\rtf/i, 'a document in Rich Text Format'],
  [/^BEGIN:VCARD/i, 'a vCard'],
  [/^\[\s*[[{\]]/, 'a JSON array, where NDJSON has one object per line'],
]

const accepted = 'CSV or NDJSON is required, in UTF-8, UTF-16 with a byte order mark or Windows-1252, also with gzip'

/** Returns whether the bytes begin a gzip file. */
export function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

/** Throws a 422 that names the format of a file that is neither CSV nor NDJSON. */
export function rejectOtherFormats(start: Buffer) {
  const name = formatName(start)
  if (name !== undefined) throw errors.badImportFile(1, `the file is ${name}; ${accepted}`)
}

function formatName(start: Buffer): string | undefined {
  const hex = start.subarray(0, 16).toString('hex')
  if (hex.startsWith('504b0304')) {
    const isWorkbook = start.includes('xl/') || start.includes('[Content_Types].xml')
    return isWorkbook ? 'an Excel workbook (.xlsx)' : 'a ZIP archive'
  }
  const signature = signatures.find(([bytes]) => hex.startsWith(bytes))
  if (signature) return signature[1]
  if (isGzip(start)) return 'compressed with gzip twice'
  if (hex.startsWith('fffe') || hex.startsWith('feff')) return undefined
  if (isWide(start)) return 'UTF-16 text without a byte order mark'
  if (hasManyNuls(start)) return 'not a text file'
  const text = start
    .subarray(0, 200)
    .toString('utf8')
    .replace(/^\ufeff?\s*/, '')
  return markup.find(([pattern]) => pattern.test(text))?.[1]
}

/** Returns whether NULs are more than a slip: a damaged row of a text file costs only itself. */
function hasManyNuls(start: Buffer): boolean {
  let count = 0
  for (const byte of start) if (byte === 0) count++
  return count > Math.ceil(start.length / 500)
}

/** Returns whether every second byte at the beginning is a NUL, as of Latin letters in UTF-16. */
function isWide(start: Buffer): boolean {
  const pairs = Math.min(8, start.length >> 1)
  const nuls = [0, 0]
  for (let n = 0; n < pairs * 2; n++) if (start[n] === 0) nuls[n % 2] = (nuls[n % 2] ?? 0) + 1
  return pairs > 0 && nuls.includes(pairs)
}
