// SQL text whose pieces carry their own parameters. The npm package sql-template-tag does the same in the same size, but
// sends a value that a statement uses three times as three parameters; our statements share fragments a lot, so fragments
// know which parameter is theirs.

/** A piece of a statement, or a whole one: its text and the parameters in it. Made by `sql`, `raw`, `join` and `param`. */
export class Sql {
  readonly #strings: readonly string[]
  readonly #parts: readonly unknown[]

  constructor(strings: readonly string[], parts: readonly unknown[]) {
    this.#strings = strings
    this.#parts = parts
  }

  /**
   * Returns the text with numbered placeholders, and the values for them. Numbers are assigned in the order of the text; a
   * fragment that occurs twice has the same numbers both times, so its values are sent once. Values never change the text:
   * one composition of fragments has one text, as a prepared statement of one name must.
   */
  toStatement(): { text: string; values: unknown[] } {
    const values: unknown[] = []
    const numbersOf = new Map<Sql, number[]>()
    const write = (fragment: Sql): string => {
      const numbers = numbersOf.get(fragment) ?? []
      numbersOf.set(fragment, numbers)
      return fragment.#strings.reduce((text, string, i) => {
        const part = fragment.#parts[i - 1]
        if (part instanceof Sql) return text + write(part) + string
        numbers[i] ??= values.push(part)
        return `${text}$${numbers[i]}${string}`
      })
    }
    return { text: write(this), values }
  }

  /** The text of a fragment without parameters, for statements that are plain text; throws if it has parameters. */
  toString(): string {
    const { text, values } = this.toStatement()
    if (values.length > 0) throw new Error('a fragment with parameters belongs into an sql template')
    return text
  }
}

/** A fragment, which carries its parameters, or a text, whose parameters are a separate argument. */
export type Statement = Sql | string

/** Returns the text of a statement, with numbered placeholders. */
export function textOf(statement: Statement): string {
  return typeof statement === 'string' ? statement : statement.toStatement().text
}

/** Tags a template: interpolated fragments become part of the text, any other value becomes a parameter. */
export function sql(strings: TemplateStringsArray, ...parts: unknown[]): Sql {
  return new Sql(strings, parts)
}

/** A parameter that a statement may use several times and sends once. */
export function param(value: unknown): Sql {
  return sql`${value}`
}

/** Text without parameters, for names of tables and columns. The caller guarantees that no user wrote it. */
export function raw(text: string): Sql {
  return new Sql([text], [])
}

/** Puts fragments in a row, separated by a text; an empty list yields no text. */
export function join(fragments: readonly Sql[], separator = ', '): Sql {
  if (fragments.length === 0) return raw('')
  return new Sql(['', ...fragments.slice(1).map(() => separator), ''], fragments)
}

/** A row to write: its values by column, each a parameter or a fragment. The code wrote the names of the columns. */
export type Row = Record<string, unknown>

/** Returns the columns of a row, for `insert into t (...)`. */
export function columnsOf(row: Row): Sql {
  return join(Object.keys(row).map((column) => raw(`"${column}"`)))
}

/** Returns the values of a row, for `values (...)`, in the order of its columns. */
export function valuesOf(row: Row): Sql {
  return join(Object.values(row).map((value) => sql`${value}`))
}

/** Returns the assignments of a row, for `update t set ...`. */
export function assignmentsOf(row: Row): Sql {
  return join(Object.entries(row).map(([column, value]) => sql`${raw(`"${column}"`)} = ${value}`))
}
