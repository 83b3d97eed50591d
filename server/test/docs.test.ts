import { globSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { caps } from '../src/config/caps.ts'
import { type Transition, transitions } from '../src/log/transitions.ts'
import {
  documentedLogLines,
  faultsOfPage,
  logLinesOf,
  repeatedWorkOf,
  stateChangesOf,
  type Tree,
} from './doc-references.ts'

const root = join(import.meta.dirname, '../..')
const listFiles = (patterns: string[], cwd = root) =>
  globSync(patterns, { cwd, exclude: (path) => /(^|[/\\])(node_modules|dist)$/.test(String(path)) }).map((path) =>
    path.replaceAll(sep, '/'),
  )
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const tree: Tree = {
  files: listFiles(['*.*', '.env.example', 'LICENSE', '.ci/run', '{bench,console,docs,scripts,server}/**/*.*']),
  read,
}

const asText = ({ line, level }: { line: string; level: string }) => `${level}: ${line}`

describe('the documentation', () => {
  const pages = listFiles(['README.md', 'CONTRIBUTING.md', 'docs/*.md', 'server/**/README.md'])

  test.each(pages)('refers only to files, functions and headings that exist in %s', (path) => {
    expect(faultsOfPage({ path, text: read(path) }, tree)).toEqual([])
  })
})

describe('CONTRIBUTING.md', () => {
  test('names each npm script', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const names = Object.keys(scripts).filter((name) => !(name.startsWith('pre') && name.slice(3) in scripts))
    const page = read('CONTRIBUTING.md')
    const isNamed = (name: string) => new RegExp(`\`npm (run )?${name}( [^\`]*)?\``).test(page)
    expect(names.length).toBeGreaterThan(10)
    expect(names.filter((name) => !isNamed(name))).toEqual([])
  })
})

describe('docs/architecture.md', () => {
  test('shows each state transition with the roles that make it', () => {
    const roles = new Map<string, Set<string>>()
    for (const { from, to, by } of Object.values<Transition>(transitions)) {
      const change = `${from} -> ${to}`
      roles.set(change, new Set([...(roles.get(change) ?? []), ...by]))
    }
    const documented = stateChangesOf(read('docs/architecture.md')).map(({ from, to, by }) => [`${from} -> ${to}`, by])
    expect(Object.fromEntries(documented)).toEqual(
      Object.fromEntries([...roles].map(([change, by]) => [change, [...by].sort()])),
    )
  })
})

describe('docs/security.md', () => {
  test('has each cap with its default', () => {
    const documented = new Map<string, string>()
    for (const line of read('docs/security.md')
      .split('\n')
      .filter((line) => line.endsWith('| `CARILLON_CAPS` |'))) {
      const [names = '', limits = ''] = line.split(' | ')
      const found = [...names.matchAll(/\(`(\w+)`\)/g)].map(([, name = '']) => name)
      for (const [n, limit] of limits.split(', ').entries()) documented.set(found[n] ?? '', limit)
    }
    const defaults = Object.entries(caps).map(([name, { limit }]) => [name, limit.toLocaleString('en-US')])
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(defaults))
  })
})

describe('docs/logging.md', () => {
  const page = read('docs/logging.md')
  const sources = tree.files.filter((path) => /^server\/src\/.*(?<!\.test)\.ts$/.test(path)).map(read)

  test('has exactly one row for each log line of level warn, error or fatal', () => {
    const logged = sources.flatMap(logLinesOf).map(asText)
    const documented = documentedLogLines(page).map(asText)
    expect(logged.length).toBeGreaterThan(20)
    expect({
      withoutRow: logged.filter((line) => !documented.includes(line)),
      withoutCall: documented.filter((line) => !logged.includes(line)),
    }).toEqual({ withoutRow: [], withoutCall: [] })
  })

  test('names all repeated work', () => {
    const work = sources.flatMap(repeatedWorkOf)
    expect(work.length).toBeGreaterThan(10)
    expect(work.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  })
})

test('faultsOfPage reports broken references', () => {
  const tree: Tree = {
    files: ['docs/here.md', 'server/src/lists/lists.ts'],
    read: (path) => (path.endsWith('.md') ? '# One heading' : 'export function getList() {}\n'),
  }
  const faults = (text: string) => faultsOfPage({ path: 'docs/page.md', text }, tree)
  expect(faults('`lists/lists.ts#getList` [a](here.md#one-heading) `<noun>.ts` `lists/`')).toEqual([])
  expect(faults('`lists/gone.ts`')).toEqual(['docs/page.md: no file lists/gone.ts'])
  expect(faults('`gone/`')).toEqual(['docs/page.md: no folder gone/'])
  expect(faults('`lists/lists.ts#gone`')).toEqual(['docs/page.md: lists/lists.ts declares no gone'])
  expect(faults('[a](gone.md)')).toEqual(['docs/page.md: broken link to gone.md'])
  expect(faults('[a](here.md#two)')).toEqual(['docs/page.md: no heading for the link to here.md#two'])
  expect(faults('<!-- example noun: gone -->\n`lists/gone.ts`')).toEqual([])
})

test('logLinesOf and repeatedWorkOf find calls in all forms', () => {
  const found = logLinesOf(`
    log.warn('one')
    this.#log.error({ err: error, id: f('no') }, 'two')
    log.fatal({ a: 'no' }, \`three \${x} of it\`)
    rt.log.warn(line)
    this.#lines.warn(source.id, fields, 'four')
    carrierLines(rt.log).warn(id, {}, 'five')
    log.info('not this')`)
  expect(found.map(asText)).toEqual([
    'warn: one',
    'error: two',
    'fatal: three … of it',
    'warn: …',
    'warn: four',
    'warn: five',
  ])
  expect(repeatedWorkOf("new Repeater(a)\nconst b = repeat(async () => { f('no') }, 5, 'do it')")).toEqual(['do it'])
})
