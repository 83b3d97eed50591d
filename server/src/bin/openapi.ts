// Writes openapi.json in the root of the repository from the routes; with --check it only checks whether the file is up to
// date.

import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { readEnv } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import { makeApp } from '../http/app.ts'
import { openApiOf } from '../http/openapi.ts'
import { systemClock } from '../lib/clock.ts'
import { Metrics } from '../system/metrics.ts'

/** The generator sends no requests, so the app does not need a database. */
const reject = () => Promise.reject(new Error('the OpenAPI generator has no database'))
const noDatabase: Db = { many: reject, maybeOne: reject, one: reject, exec: reject, tx: reject, withClient: reject }

const file = fileURLToPath(new URL('../../../openapi.json', import.meta.url))

const text = `${JSON.stringify(await readDocument(), null, 2)}\n`
if (process.argv.includes('--check')) {
  const isFresh = text === (await readFile(file, 'utf8').catch(() => ''))
  console.log(isFresh ? 'openapi.json is up to date' : 'openapi.json is stale: run `npm run gen` and commit it')
  process.exitCode = isFresh ? 0 : 1
} else {
  await writeFile(file, text)
  console.log(`wrote ${file}`)
}

async function readDocument() {
  const app = await makeApp({
    config: readEnv({}),
    log: pino({ level: 'silent' }),
    db: noDatabase,
    clock: systemClock,
    databaseUrl: '',
    metrics: new Metrics('openapi'),
  })
  const document = openApiOf(app)
  await app.close()
  return document
}
