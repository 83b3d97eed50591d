import { columns } from './column-names.ts'

// Excel stores a date as the count of days since the end of 1899, and shows the count if the cell has no date format: 45236
// is November 6, 2023. A count is read where it can hardly be anything else: five digits, in the years that are plausible
// for the column, and no other numbers in the column.

const day = 86_400_000
const origin = Date.UTC(1899, 11, 30)
const serial = /^\d{5}(?:\.\d{1,12})?$/
const serials = /^\d{5}(?:\.\d{1,12})?$/gm
const number = /^\d{1,7}(?:\.\d+)?$/

const birthdate = columns.indexOf('birthdate')
const consentDates = new Set(
  (['consented_at', 'opted_in', 'opted_out', 'unsubscribed_at', 'cleaned_at'] as const).map((name) =>
    columns.indexOf(name),
  ),
)
// five digits begin with May 18, 1927; no program collected consent to texts before 2000; a custom field may have any date
const firstBirthdate = 10_000
const firstConsent = 36_526
const [firstCustom, lastCustom] = [18_264, 54_789]

/** Reads Excel's day counts in the columns of one file. */
export class DaySerials {
  readonly #tomorrow: number
  /** Columns that have numbers of another kind, such as years, or dates without separators. */
  readonly #others = new Set<number>()

  constructor(now: Date) {
    this.#tomorrow = Math.floor((now.getTime() - origin) / day) + 1
  }

  /** Notes a value of a column at the beginning of the file. */
  observe(column: number, text: string) {
    if (number.test(text) && !/^[01](?:\.0+)?$/.test(text) && !this.#isPlausible(column, text)) this.#others.add(column)
  }

  /** Returns a time in ISO 8601 and UTC, or undefined if the text is not a day count. */
  read(column: number, text: string): string | undefined {
    if (!this.#isPlausible(column, text) || this.#others.has(column)) return undefined
    return new Date(origin + Math.round(Number(text) * 86_400) * 1_000).toISOString()
  }

  /** Returns a cell of a column about consent with its day counts as dates; it may have several lines. */
  inDates(column: number, text: string): string {
    return text.replace(serials, (count) => this.read(column, count) ?? count)
  }

  #isPlausible(column: number, text: string): boolean {
    if (!serial.test(text)) return false
    const count = Number(text)
    if (column === birthdate) return count >= firstBirthdate && count < this.#tomorrow && Number.isInteger(count)
    if (consentDates.has(column)) return count >= firstConsent && count < this.#tomorrow + 1
    return column >= columns.length && count >= firstCustom && count <= lastCustom
  }
}
