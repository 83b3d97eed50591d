import { columns } from './column-names.ts'

// Excel stores a date as the count of days since the end of 1899, and shows the count if the cell has no date format: 45236
// is November 6, 2023. Databases count the seconds or milliseconds since 1970. A count is read where it can hardly be
// anything else: in the years that are plausible for the column, and in a column without other numbers.

const day = 86_400_000
const excelOrigin = Date.UTC(1899, 11, 30)
const dayCount = /^\d{5}(?:\.\d{1,12})?$/
const unixCount = /^\d{10}(?:\d{3})?$/
const anyCount = /^(?:\d{5}(?:\.\d{1,12})?|\d{10}(?:\d{3})?)$/gm
const otherNumber = /^\d{1,7}(?:\.\d+)?$/
const flag = /^[01](?:\.0+)?$/

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

/** Reads the dates in the columns of one file that are counts of days, seconds or milliseconds. */
export class DateCounts {
  readonly #tomorrow: number
  /** Columns that have numbers of another kind, such as years, or dates without separators. */
  readonly #others = new Set<number>()

  constructor(now: Date) {
    this.#tomorrow = Math.floor((now.getTime() - excelOrigin) / day) + 1
  }

  /** Notes a value of a column at the beginning of the file. */
  observe(column: number, text: string) {
    if (otherNumber.test(text) && !flag.test(text) && this.#daysOf(column, text) === undefined) this.#others.add(column)
  }

  /** Returns a time in ISO 8601 and UTC, or undefined if the text is not a count. */
  read(column: number, text: string): string | undefined {
    const days = this.#daysOf(column, text)
    if (days === undefined || this.#others.has(column)) return undefined
    return new Date(excelOrigin + Math.round(days * 86_400) * 1_000).toISOString()
  }

  /** Returns a cell of a column about consent with its counts as dates; it may have several lines. */
  inDates(column: number, text: string): string {
    return text.replace(anyCount, (count) => this.read(column, count) ?? count)
  }

  /** Returns the days since the end of 1899, if the text is a count that is plausible in the column. */
  #daysOf(column: number, text: string): number | undefined {
    if (consentDates.has(column)) {
      const days = dayCount.test(text) ? Number(text) : unixCount.test(text) ? daysOfUnix(text) : 0
      return days >= firstConsent && days < this.#tomorrow + 1 ? days : undefined
    }
    if (!dayCount.test(text)) return undefined
    const days = Number(text)
    if (column === birthdate) {
      return days >= firstBirthdate && days < this.#tomorrow && Number.isInteger(days) ? days : undefined
    }
    return column >= columns.length && days >= firstCustom && days <= lastCustom ? days : undefined
  }
}

function daysOfUnix(text: string): number {
  const seconds = text.length === 10 ? Number(text) : Number(text) / 1_000
  return (seconds * 1_000 - excelOrigin) / day
}
