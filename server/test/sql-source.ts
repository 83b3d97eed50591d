import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// Finds the SQL in the source files without running it, for tests of rules that apply to all statements.

const src = fileURLToPath(new URL('../src/', import.meta.url))

/** Replaces each `${...}` of a template in its text. */
export const hole = '\u0001'

export type Template = {
  file: string
  /** The statement's name, or the constant, property or function that contains the template. */
  name: string
  text: string
  /** Whether the template is the statement of a call such as `db.many('name', ...)`. */
  isStatement: boolean
}

/** Returns the templates and strings with SQL in all source files except tests. */
export function listSql(): Template[] {
  return globSync('**/*.ts', { cwd: src })
    .filter((file) => !file.endsWith('.test.ts'))
    .sort()
    .flatMap((file) => readTemplates(file, readFileSync(`${src}${file}`, 'utf8')))
    .filter(({ text }) => isSql.test(text))
}

const isSql =
  /\b(select|insert into|update \w+|delete from|where|coalesce|array\()|(now|clock_timestamp)\(\)|\$\d|\b(unnest|exists) ?\(/

function readTemplates(file: string, source: string): Template[] {
  const found: Template[] = []
  const read = (start: number): number => {
    let text = ''
    let i = start + 1
    while (i < source.length && source[i] !== '`') {
      if (source[i] === '\\') {
        text += source.slice(i, i + 2)
        i += 2
      } else if (source.startsWith('${', i)) {
        i = skipCode(i + 2, '}')
        text += hole
      } else {
        text += source[i++]
      }
    }
    found.push({ file, text, ...nameOf(source.slice(0, start)) })
    return i + 1
  }
  /** Reads the templates in the code up to the character `end`, and returns the index after it. */
  const skipCode = (start: number, end: string): number => {
    let depth = 0
    let i = start
    while (i < source.length) {
      const c = source[i] as string
      if (c === '`') i = read(i)
      else if (source.startsWith('//', i)) i = source.indexOf('\n', i)
      else if (source.startsWith('/*', i)) i = source.indexOf('*/', i) + 2
      else if (c === "'" || c === '"') {
        const begin = i
        for (i++; source[i] !== c && source[i] !== '\n'; i++) if (source[i] === '\\') i++
        i++
        found.push({ file, text: source.slice(begin + 1, i - 1), ...nameOf(source.slice(0, begin)) })
      } else if (c === end && depth === 0) return i + 1
      else {
        if (c === '{') depth++
        if (c === '}') depth--
        i++
      }
    }
    return i
  }
  skipCode(0, '')
  return found
}

function nameOf(before: string): { name: string; isStatement: boolean } {
  const statement = /['`]([\w${}]+)['`],\s*(?:\/\* sql \*\/\s*|sql)?$/.exec(before)
  if (statement) return { name: statement[1] as string, isStatement: true }
  const container = [
    ...before.slice(-2_000).matchAll(/(?:const|function|^ {2,}) ?(\w+)(?:: [^=\n]+)?(?: =|\(|:)/gm),
  ].at(-1)
  return { name: container?.[1] ?? '', isStatement: false }
}
