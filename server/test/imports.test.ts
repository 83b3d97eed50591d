import { globSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { circularImportsOf, faultsOf, importsOf, type SourceFile, typesExportedTwice } from './import-rules.ts'

const serverSource = join(import.meta.dirname, '../src')
const consoleSource = join(import.meta.dirname, '../../console/src')

function sourceFiles(root: string, pattern: string): SourceFile[] {
  return globSync(pattern, { cwd: root })
    .filter((path) => !/\.test\.tsx?$/.test(path))
    .map((path) => ({ path: path.replaceAll(sep, '/'), text: readFileSync(join(root, path), 'utf8') }))
}

test('files of the server import only what the import rules allow', () => {
  const files = sourceFiles(serverSource, '**/*.ts')
  expect(files.length).toBeGreaterThan(0)
  expect(files.flatMap(faultsOf)).toEqual([])
})

test('files of the server have no circular imports, not even of types', () => {
  const files = sourceFiles(serverSource, '**/*.ts')
  expect(files.length).toBeGreaterThan(0)
  expect(circularImportsOf(files)).toEqual([])
})

test('circularImportsOf reports a circle, but not a file that two others import', () => {
  const file = (path: string, ...targets: string[]) => ({
    path,
    text: targets.map((target) => `import type { X } from '${target}'`).join('\n'),
  })
  const files = [
    file('gateway/a.ts', './binds/b.ts', './c.ts'),
    file('gateway/binds/b.ts', '../c.ts', '../caps/d.ts'),
    file('gateway/c.ts'),
    file('gateway/caps/d.ts', '../a.ts'),
  ]
  expect(circularImportsOf(files)).toEqual(['gateway/a.ts -> gateway/binds/b.ts -> gateway/caps/d.ts -> gateway/a.ts'])
})

test('the console imports nothing from the server', () => {
  const files = sourceFiles(consoleSource, '**/*.{ts,tsx}')
  expect(files.length).toBeGreaterThan(0)
  const forbidden = files.flatMap(({ path, text }) =>
    importsOf(text)
      .filter((specifier) => {
        const { pathname } = new URL(specifier, `file:///console/src/${path}`)
        return (
          specifier.startsWith('@carillon/') || (specifier.startsWith('.') && !pathname.startsWith('/console/src/'))
        )
      })
      .map((specifier) => `${path} imports ${specifier}`),
  )
  expect(forbidden).toEqual([])
})

const allowed: [path: string, text: string][] = [
  ['sms/parts.ts', "import { x } from './gsm7.ts'\nimport { y } from 'node:fs'"],
  ['jobs/queue.ts', "import type { Db } from '../db/db.ts'"],
  ['http/app.ts', "import { listRoutes } from '../lists/lists.routes.ts'"],
  ['lists/lists.ts', "import { findShortCode } from '../short-codes/short-codes.queries.ts'"],
  ['lists/lists.routes.ts', "import { page } from '../http/pagination.ts'\nimport fastify from 'fastify'"],
  ['receipts/receipts.ts', "import {\n  a,\n  type B,\n} from '../messages/messages.ts'"],
  ['gateway/dispatch/claims.ts', "import { claimChunk } from '../../log/claims.queries.ts'"],
  ['gateway/submit/submitter.ts', "import { Caps } from '../caps/caps.ts'\nimport { ms } from '../timing.ts'"],
  ['gateway/gateway.ts', "import { Claims } from './dispatch/claims.ts'"],
  ['bin/api.ts', "import { buildApp } from '../http/app.ts'\nprocess.env.HOME"],
  ['config/env.ts', 'export const env = process.env'],
  ['lists/lists.ts', '// process.env is not read here\n/* import { x } from "../bin/api.ts" */'],
]

const rejected: [path: string, text: string, fault: string][] = [
  ['sms/parts.ts', "import { errors } from '../errors.ts'", 'must not import'],
  ['smpp/session.ts', "import pino from 'pino'", 'not node only'],
  ['db/db.ts', "import { runJob } from '../jobs/queue.ts'", 'must not import'],
  ['http/auth.ts', "import { findKey } from '../accounts/accounts.queries.ts'", 'must not import'],
  ['http/app.ts', "import { createList } from '../lists/lists.ts'", 'must not import'],
  ['lists/lists.ts', "import { x } from '../messages/messages.ts'", 'must not import'],
  ['lists/lists.ts', "import type {\n  X,\n} from '../messages/messages.ts'", 'must not import'],
  ['lists/lists.ts', "export { x } from '../messages/messages.ts'", 'must not import'],
  ['lists/lists.ts', "import '../messages/messages.ts'", 'must not import'],
  ['lists/lists.ts', "const x = await import('../messages/messages.ts')", 'must not import'],
  ['lists/lists.ts', "import fastify from 'fastify'", 'imports Fastify'],
  ['lists/lists.queries.ts', "import { x } from '../http/pagination.ts'", 'imports http'],
  ['lists/lists.queries.ts', "import { x } from '../accounts/accounts.queries.ts'", 'imports the queries'],
  ['lists/lists.queries.ts', "import { x } from './lists.routes.ts'", 'above it'],
  ['lists/lists.routes.ts', "import { x } from '../accounts/accounts.routes.ts'", "another noun's"],
  ['messages/messages.ts', "import { x } from '../lists/lists.jobs.ts'", "another noun's"],
  ['gateway/submit/submitter.ts', "import { x } from '../../http/app.ts'", 'must not import'],
  ['gateway/submit/submitter.ts', "import { x } from '../../lists/lists.ts'", 'must not import'],
  ['gateway/submit/submitter.ts', "import { x } from '../dispatch/claims.ts'", 'must not import'],
  ['gateway/caps/cap.ts', "import type { x } from '../binds/bind-group.ts'", 'must not import'],
  ['gateway/receive/deliveries.ts', "import { x } from '../dispatch/claims.ts'", 'must not import'],
  ['gateway/submit/submitter.ts', "import { x } from '../gateway.ts'", 'above it'],
  ['gateway/attic/old.ts', "import { x } from '../caps/cap.ts'", 'not in the import rules'],
  ['simulator/simulator.ts', "import { x } from '../db/db.ts'", 'must not import'],
  ['accounts/accounts.ts', "import { x } from '../gateway/binds.ts'", 'must not import'],
  ['accounts/accounts.ts', "import { x } from '../bin/api.ts'", 'bin/'],
  ['accounts/accounts.ts', "import { x } from '../../test/app.ts'", 'outside server/src'],
  ['accounts/accounts.ts', "import { x } from './accounts.test.ts'", 'imports a test'],
  ['accounts/accounts.ts', "import { x } from '../../../console/src/main.tsx'", 'outside server/src'],
  ['accounts/accounts.ts', "import { x } from '@carillon/console'", 'only openapi.json'],
  ['utils/strings.ts', "import { x } from '../db/db.ts'", 'not in the import rules'],
  ['lists/lists.ts', 'const port = process.env.PORT', 'environment'],
  ['lists/lists.ts', "import { env } from 'node:process'", 'environment'],
]

describe('faultsOf', () => {
  test.each(allowed)('accepts in %s: %j', (path, text) => {
    expect(faultsOf({ path, text })).toEqual([])
  })

  test.each(rejected)('rejects in %s: %j', (path, text, fault) => {
    expect(faultsOf({ path, text })).toEqual([expect.stringContaining(fault)])
  })
})

test('no two exported types of the server share a name', () => {
  expect(typesExportedTwice(sourceFiles(serverSource, '**/*.ts'))).toEqual([])
})

test('typesExportedTwice reports a type that several files export', () => {
  const files = [
    { path: 'lists/lists.ts', text: 'export type A = 1\nexport type B = 2' },
    { path: 'messages/c.ts', text: 'export interface A {}\ntype B = 3' },
    { path: 'messages/d.ts', text: 'export abstract class A {}' },
  ]
  expect(typesExportedTwice(files)).toEqual(['A: lists/lists.ts, messages/c.ts, messages/d.ts'])
})
