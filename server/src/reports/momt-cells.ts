import { formatTime } from '../lib/format-time.ts'
import type { LineFormat } from './momt-columns.ts'

// Cells of a report's lines, written as bytes: a string for each of ten cells of a row would take longer than the database. A test compares
// the lines with those that PostgreSQL renders.

const defaultBufferBytes = 1 << 18

const [quote, backslash, comma, lineFeed, carriageReturn] = [0x22, 0x5c, 0x2c, 0x0a, 0x0d]
const [zero, apostrophe, minus] = [0x30, 0x27, 0x2d]

/** Two decimal digits of each number below 100. */
const tens = Uint8Array.from({ length: 100 }, (_, n) => zero + Math.floor(n / 10))
const ones = Uint8Array.from({ length: 100 }, (_, n) => zero + (n % 10))

/** The letter after the backslash for characters that JSON escapes, and `u` for other control characters. */
const escapes = new Uint8Array(256).fill('u'.charCodeAt(0), 0, 32)
for (const [char, letter] of Object.entries({
  '\b': 'b',
  '\f': 'f',
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
  '"': '"',
  '\\': '\\',
}))
  escapes[char.charCodeAt(0)] = letter.charCodeAt(0)
const hexDigits = Buffer.from('0123456789abcdef')

/** First bytes of a cell that is no formula in any spreadsheet program. */
const isPlainStart = new Uint8Array(256)
for (const char of '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!"#$%&()*,./:;<>?[]^_`{|}~')
  isPlainStart[char.charCodeAt(0)] = 1
const formula = /^\s*[=+@\t\r\u2212\uff1d\uff0b\uff0d\uff20-]/
const numberWithSign = /^\s*[+-]?[0-9][0-9 .,()-]*%?\s*$/

/** Returns whether a spreadsheet program could run a text as a formula. Numbers and phone numbers with a sign are no formulas. */
const isFormula = (text: string) => formula.test(text) && !numberWithSign.test(text)

const timeBytes = 'YYYY-MM-DDTHH:MM:SS+HH:MM'.length
const maxMinutes = 10_000

/** Writes cells of one format one after the other. */
export class CellWriter {
  readonly #isJson: boolean
  readonly #timeZone: string
  readonly #bufferBytes: number
  #out: Buffer = Buffer.alloc(0)
  #at = 0
  #full: Buffer[] = []
  #minutes = new Map<number, Buffer>()
  #lastMinute = Number.NaN
  #lastText: Buffer = Buffer.alloc(timeBytes)

  constructor(format: LineFormat, timeZone: string, bufferBytes = defaultBufferBytes) {
    this.#bufferBytes = bufferBytes
    this.#isJson = format === 'json'
    this.#timeZone = timeZone
  }

  /** Makes room for texts of up to this number of bytes before they are escaped, and for other bytes; must precede them. */
  reserve(textBytes: number, otherBytes = 16): void {
    const needed = textBytes * 6 + otherBytes
    if (this.#at + needed <= this.#out.length) return
    this.#flush()
    this.#out = Buffer.allocUnsafeSlow(Math.max(this.#bufferBytes, needed))
  }

  /** Whether `take` returns bytes that are not worth waiting for more. */
  get isFull(): boolean {
    return this.#full.length > 0
  }

  /** The number of bytes that were written since the last `take` or `reserve`. */
  get length(): number {
    return this.#at
  }

  /** Returns all that was written since the last `reserve`, as part of a buffer that continues to be used behind it. */
  takeAll(): Buffer {
    const bytes = this.#out.subarray(0, this.#at)
    this.#out = this.#out.subarray(this.#at)
    this.#at = 0
    return bytes
  }

  /** Returns the full buffers, or all that was written. */
  take(which: 'full' | 'all'): Buffer[] {
    if (which === 'all') this.#flush()
    const full = this.#full
    this.#full = []
    return full
  }

  #flush(): void {
    if (this.#at > 0) this.#full.push(this.#out.subarray(0, this.#at))
    this.#out = this.#out.subarray(this.#at)
    this.#at = 0
  }

  /** Writes bytes as they are. */
  raw(bytes: Uint8Array): void {
    const { length } = bytes
    if (length > 16) this.#out.set(bytes, this.#at)
    else for (let n = 0; n < length; n++) this.#out[this.#at + n] = bytes[n] as number
    this.#at += length
  }

  none(): void {
    if (this.#isJson) this.raw(nullBytes)
  }

  number(value: number): void {
    this.#integer(value)
  }

  /** Writes an integer as text. */
  digits(value: number): void {
    if (this.#isJson) this.#out[this.#at++] = quote
    this.#integer(value)
    if (this.#isJson) this.#out[this.#at++] = quote
  }

  #integer(value: number): void {
    if (!Number.isSafeInteger(value)) throw new Error(`${value} is not a safe integer`)
    let rest = value
    if (rest < 0) {
      this.#out[this.#at++] = minus
      rest = -rest
    }
    const hundredMillions = Math.floor(rest / 1e8)
    if (hundredMillions > 0) this.#small(hundredMillions, 0)
    this.#small(rest - hundredMillions * 1e8, hundredMillions > 0 ? 8 : 0)
  }

  /** Writes an integer below 1e8 with at least this number of digits; above, with its own. */
  #small(value: number, width: number): void {
    let length = width
    if (length === 0) {
      length = 1
      for (let limit = 10; limit <= value; limit *= 10) length++
    }
    let rest = value
    let at = this.#at + length
    this.#at = at
    for (; length >= 2; length -= 2) {
      const next = Math.floor(rest / 100)
      const pair = rest - next * 100
      this.#out[--at] = ones[pair] as number
      this.#out[--at] = tens[pair] as number
      rest = next
    }
    if (length === 1) this.#out[--at] = zero + rest
  }

  /** Writes a time, given as whole seconds since 1970, in the time zone. */
  time(seconds: number): void {
    const minute = Math.floor(seconds / 60)
    if (minute !== this.#lastMinute) {
      this.#lastText = this.#textOf(minute)
      this.#lastMinute = minute
    }
    const second = seconds - minute * 60
    if (this.#isJson) this.#out[this.#at++] = quote
    const at = this.#at
    this.#out.set(this.#lastText, at)
    this.#out[at + 17] = tens[second] as number
    this.#out[at + 18] = ones[second] as number
    this.#at = at + timeBytes
    if (this.#isJson) this.#out[this.#at++] = quote
  }

  /** Returns the text of a minute; offsets of time zones are whole minutes and change at whole minutes. */
  #textOf(minute: number): Buffer {
    let text = this.#minutes.get(minute)
    if (!text) {
      text = Buffer.from(formatTime(new Date(minute * 60_000), this.#timeZone))
      if (text.length !== timeBytes) throw new Error(`the time ${text} has no four digits of a year`)
      if (this.#minutes.size >= maxMinutes) this.#minutes.clear()
      this.#minutes.set(minute, text)
    }
    return text
  }

  /** Writes text of ours. */
  word(source: Buffer, from: number, to: number): void {
    if (this.#isJson) this.#json(source, from, to)
    else this.#csv(source, from, to, false)
  }

  /** Writes free text. */
  text(source: Buffer, from: number, to: number): void {
    if (this.#isJson) {
      this.#json(source, from, to)
      return
    }
    const isSafe = from === to || isPlainStart[source[from] as number] === 1
    this.#csv(source, from, to, !isSafe && isFormula(source.toString('utf8', from, to)))
  }

  #csv(source: Buffer, from: number, to: number, isFormula: boolean): void {
    const out = this.#out
    let at = this.#at
    if (isFormula) out[at++] = apostrophe
    for (let n = from; n < to; n++) {
      const byte = source[n] as number
      if (byte === comma || byte === quote || byte === lineFeed || byte === carriageReturn) {
        this.#quoted(source, from, to, isFormula)
        return
      }
      out[at++] = byte
    }
    this.#at = at
    // an empty cell without quotes is null
    if (from === to) this.#quoted(source, from, to, false)
  }

  #quoted(source: Buffer, from: number, to: number, isFormula: boolean): void {
    const out = this.#out
    let at = this.#at
    out[at++] = quote
    if (isFormula) out[at++] = apostrophe
    for (let n = from; n < to; n++) {
      const byte = source[n] as number
      if (byte === quote) out[at++] = quote
      out[at++] = byte
    }
    out[at++] = quote
    this.#at = at
  }

  #json(source: Buffer, from: number, to: number): void {
    const out = this.#out
    let at = this.#at
    out[at++] = quote
    for (let n = from; n < to; n++) {
      const byte = source[n] as number
      const letter = escapes[byte] as number
      if (letter === 0) {
        out[at++] = byte
        continue
      }
      out[at++] = backslash
      out[at++] = letter
      if (byte >= 32 || letter !== 0x75) continue
      out[at++] = zero
      out[at++] = zero
      out[at++] = hexDigits[byte >> 4] as number
      out[at++] = hexDigits[byte & 15] as number
    }
    out[at++] = quote
    this.#at = at
  }
}

const nullBytes = Buffer.from('null')
