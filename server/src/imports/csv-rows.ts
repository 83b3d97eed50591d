import { parsePhoneNumber } from '../sms/phone-number.ts'
import { columns } from './column-names.ts'
import { joinFlags, statesConsent } from './consent-state.ts'
import type { Header } from './header.ts'
import { readUnnamed, type Unreadable } from './rows.ts'

// Converts one row of a CSV file, split into its fields, to the cells of the columns of an import.

const equals = '='.charCodeAt(0)
const quote = '"'.charCodeAt(0)

/** Returns the text of Excel's formula ="…", with which exports keep leading zeros, and of a quoted cell before blanks. */
export function plainText(field: string): string {
  const first = field.charCodeAt(0)
  if (first !== equals && first !== quote) return field
  const formula = first === equals ? /^="(.*)"\s*$/s.exec(field)?.[1] : undefined
  if (formula !== undefined) return formula.replaceAll('""', '"')
  // relax_quotes returns a quoted cell with its quotes if blanks follow it
  return /^"(.*)"\s+$/s.exec(field)?.[1] ?? field
}

const optedIn = columns.indexOf('opted_in')

/** Returns the cells of a row in the order of `columnNames`. */
export function cellsOf(fields: readonly string[], { used, present, consent }: Header): string[] {
  const cells: string[] = []
  for (const { at, index } of used) {
    // a short row of a wide file must take a short time
    if (at >= fields.length) break
    const text = plainText(fields[at] ?? '')
    const other = cells[index]
    if (other === undefined) cells[index] = text
    else if (text !== '') cells[index] = joinFlags(other, text)
  }
  for (const index of present) cells[index] ??= ''
  for (const stated of consent) {
    const text = plainText(fields[stated.at] ?? '').trim()
    const counts = text === '' ? stated.index === optedIn : statesConsent(text, stated)
    if (!counts) continue
    const other = cells[stated.index]
    cells[stated.index] = other === undefined ? text : joinFlags(other, text)
  }
  return cells
}

/** Returns the values of the columns without a name, or the one that is an opt-out. */
export function leftOutOf(fields: readonly string[], unnamed: readonly number[]): Unreadable[] | string {
  const leftOut: Unreadable[] = []
  for (const at of unnamed) {
    if (at >= fields.length) break
    const text = plainText(fields[at] ?? '').trim()
    const kind = readUnnamed(text)
    if (kind === 'opt_out') return text
    if (kind === 'unknown') leftOut.push({ column: `column ${at + 1}`, reason: 'unnamed_column', value: text })
  }
  return leftOut
}

/**
 * Returns whether a field contains the next row of the file: after a quote that is not closed, all text until the next
 * quote is one field, and the people in it would be lost.
 */
export function swallowsRow(fields: readonly string[], delimiter: string, indexes: Header['indexes']): boolean {
  const phone = indexes.indexOf(0)
  if (indexes.length < 2) return false
  return fields.some((field, at) => {
    const [, ...inner] = field.split(/\r\n|\n|\r/)
    return inner.some((line, n) => {
      const own = line.split(delimiter)
      const after = n === inner.length - 1 ? fields.length - at - 1 : 0
      // without a copy of the fields behind this one: a row may have ten thousand of both
      if (own.length + after !== indexes.length) return false
      const text = own[phone] ?? fields[at + 1 + phone - own.length]
      return parsePhoneNumber(text?.replaceAll('"', '')) !== undefined
    })
  })
}
