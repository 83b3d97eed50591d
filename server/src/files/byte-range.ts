export type ByteRange = { from: number; to: number }

/**
 * Returns the bytes that a `Range` header selects of a file: both ends inclusive, the whole file without a range or for several of
 * them, and `unsatisfiable` if the file has none of the bytes (RFC 9110, 14.1.2 and 14.2).
 */
export function readRange(header: string | undefined, size: number): ByteRange | 'all' | 'unsatisfiable' {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header?.replaceAll(' ', '') ?? '') ?? []
  if (first === '' && last === '') return 'all'
  if (first === '') {
    const length = Math.min(size, Number(last))
    return length === 0 ? 'unsatisfiable' : { from: size - length, to: size - 1 }
  }
  const from = Number(first)
  if (last !== '' && Number(last) < from) return 'all'
  if (from >= size) return 'unsatisfiable'
  return { from, to: last === '' ? size - 1 : Math.min(size - 1, Number(last)) }
}
