import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { fillDiagrams } from '../db/diagram.ts'
import { migrate } from '../db/migrate.ts'
import { readComments, readSchema, renderSchema } from '../db/schema.ts'
import { startPostgres } from '../supervisor/embedded-postgres.ts'
import { removeCluster } from '../supervisor/postgres-files.ts'

// Writes server/schema.sql and the diagrams of docs/database.md from an empty database after all migrations; with --check it
// only compares them.

const schemaFile = fileURLToPath(new URL('../../schema.sql', import.meta.url))
const pageFile = fileURLToPath(new URL('../../../docs/database.md', import.meta.url))

const folder = await mkdtemp(join(tmpdir(), 'carillon-schema-'))
const postgres = await startPostgres({ dataDir: folder, settings: { fsync: 'off', synchronous_commit: 'off' } })
try {
  await migrate(postgres.url)
  const client = new pg.Client({ connectionString: postgres.url })
  await client.connect()
  const schema = await readSchema(client)
  await client.end()
  await writeOrCompare('schema.sql', schemaFile, renderSchema(schema, await readComments()))
  await writeOrCompare('docs/database.md', pageFile, fillDiagrams(await readFile(pageFile, 'utf8'), schema))
} finally {
  await postgres.stop('immediate')
  removeCluster(folder)
}

async function writeOrCompare(name: string, file: string, text: string) {
  if (!process.argv.includes('--check')) {
    await writeFile(file, text)
  } else if ((await readFile(file, 'utf8').catch(() => '')) === text) {
    console.log(`${name} is up to date`)
  } else {
    console.error(`${name} differs from the migrations: run \`npm run gen\`, review the difference and commit it`)
    process.exitCode = 1
  }
}
