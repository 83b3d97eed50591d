// SQL fragments that contain their own parameters. The npm package sql-template-tag is similar, but sends a value that a
// statement uses three times as three parameters; our statements share many fragments, so a repeated fragment reuses its
// parameters.

/** A statement or a part of one: its text and parameters. `sql`, `raw`, `join` and `param` create it. */
export class Sql {
  readonly #strings: readonly string[]
  readonly #parts: readonly unknown[]

  constructor(strings: readonly string[], parts: readonly unknown[]) {
    this.#strings = strings
    this.#parts = parts
  }

  /**
   * Returns the text with numbered placeholders, and their values. Numbers are in the order of the text; a repeated fragment
   * has the same numbers each time, so its values are sent once. The text does not depend on the values, as a named prepared
   * statement requires.
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

  /** Returns the text of a fragment without parameters, for statements that are strings; throws if it has parameters. */
  toString(): string {
    const { text, values } = this.toStatement()
    if (values.length > 0) throw new Error('a fragment with parameters must be used in an sql template')
    return text
  }
}

/** A fragment with its parameters, or a string, which has its parameters in a separate argument. */
export type Statement = Sql | string

/** Returns the text of a statement, with numbered placeholders. */
export function textOf(statement: Statement): string {
  return typeof statement === 'string' ? statement : statement.toStatement().text
}

/** Returns a fragment from a template: interpolated fragments become part of the text, other values become parameters. */
export function sql(strings: TemplateStringsArray, ...parts: unknown[]): Sql {
  return new Sql(strings, parts)
}

/** Returns a parameter that a statement may use several times and sends once. */
export function param(value: unknown): Sql {
  return sql`${value}`
}

/** Returns a fragment with this text, for names of tables and columns; it must not contain input of users. */
export function raw(text: string): Sql {
  return new Sql([text], [])
}

/** Concatenates fragments with a separator; an empty list yields an empty fragment. */
export function join(fragments: readonly Sql[], separator = ', '): Sql {
  if (fragments.length === 0) return raw('')
  return new Sql(['', ...fragments.slice(1).map(() => separator), ''], fragments)
}

/** A row to write: its values by column, each a parameter or a fragment. Column names must not be input of users. */
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
