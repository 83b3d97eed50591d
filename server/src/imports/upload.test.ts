import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { basic, makeCaller } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { makeApp } from '../http/app.ts'

// Uploads over a real socket: it can close early, and clients may read the response only after they have sent the file.

let database: TestDatabase
let app: FastifyInstance
let listId: number
let key: string
let open: ClientRequest[] = []

beforeEach(async () => {
  database = await freshDatabase()
  app = await makeApp(makeRuntime(database))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const person = await makeCaller(database.db, app)
  key = person.key
  listId = (await make.list(database.db, { accountId: person.accountId, shortCodeId: person.shortCode.id })).id
})
afterEach(async () => {
  for (const upload of open) upload.destroy()
  open = []
  await app.close()
  await database.close()
})

function startUpload() {
  const path = `/api/v2/lists/${listId}/imports`
  const { port } = app.server.address() as AddressInfo
  const headers = { authorization: basic(key), 'content-type': 'text/csv' }
  const upload = request({ host: '127.0.0.1', port, path, method: 'POST', headers })
  open.push(upload)
  const response = once(upload, 'response').then(async ([incoming]: IncomingMessage[]) => {
    let text = ''
    for await (const chunk of incoming ?? []) text += chunk
    return { status: incoming?.statusCode, body: JSON.parse(text) as Record<string, unknown> }
  })
  return { upload, response }
}

const row = '2062000101,Ana\n'

function countImports() {
  return database.db.one<{ imports: number; tables: number; busy: number }>(
    'count_imports_and_tables',
    `select (select count(*) from imports) as imports,
            (select count(*) from pg_class where relname like 'import\\_rows\\_%' and relkind = 'r') as tables,
            (select count(*) from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
                and backend_type = 'client backend') as busy`,
  )
}

/** A simple client, which reads the response only after it has sent the whole file. */
async function sendAllThenRead(path: string, file: string[]) {
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  const head = ['Host: localhost', `Authorization: ${basic(key)}`, 'Content-Type: text/csv']
  const length = file.reduce((sum, chunk) => sum + chunk.length, 0)
  socket.write(`POST ${path} HTTP/1.1\r\n${head.join('\r\n')}\r\nContent-Length: ${length}\r\n\r\n`)
  for (const chunk of file) if (!socket.write(chunk)) await once(socket, 'drain')
  let text = ''
  socket.on('data', (data) => {
    text += data
  })
  await waitFor(() => text.endsWith('}'))
  socket.destroy()
  return { status: Number(text.split(' ')[1]), body: JSON.parse(text.slice(text.indexOf('\r\n\r\n'))) }
}

test('a client that sends many megabytes gets the error of an early line', async () => {
  const file = [
    `phone,first_name\n${row}2062000102,${'x'.repeat(70_000)}\n`,
    ...Array<string>(100).fill(row.repeat(10_000)),
  ]
  const response = await sendAllThenRead(`/api/v2/lists/${listId}/imports`, file)
  expect(response).toMatchObject({ status: 422, body: { code: 'bad_import_file', details: { line: ['3'] } } })
})

test('a client that sends many megabytes to an unknown list gets a 404', async () => {
  const response = await sendAllThenRead('/api/v2/lists/999/imports', Array<string>(100).fill(row.repeat(10_000)))
  expect(response).toMatchObject({ status: 404, body: { error: 'List not found' } })
})

test('an interrupted upload stores nothing', async () => {
  const { upload, response } = startUpload()
  response.catch(() => {})
  await new Promise((sent) => upload.write(`phone,first_name\n${row.repeat(10_000)}`, sent))
  upload.destroy()
  // one snapshot, because other statements of the app may be busy at any later time
  const idle = await waitFor(async () => {
    const counts = await countImports()
    return counts.busy === 0 ? counts : undefined
  })
  expect(idle).toMatchObject({ imports: 0, tables: 0 })

  // the database connections still work
  for (let n = 0; n < 8; n++) {
    const next = startUpload()
    next.upload.end(`phone,first_name\n${row}`)
    expect((await next.response).status).toBe(202)
  }
})
