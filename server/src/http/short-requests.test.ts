import { connect } from 'node:net'
import { afterAll, beforeAll, test } from 'vitest'
import { basic, useApi } from '../../test/api.ts'
import { waitFor } from '../../test/wait-for.ts'
import { EventLoopTurns } from '../lib/event-loop-turns.ts'

const api = useApi()
let port: number
beforeAll(async () => {
  port = Number(new URL(await api.app.listen({ host: '127.0.0.1', port: 0 })).port)
})
afterAll(() => api.app.close())

/** Returns whether work in turns pauses: the event loop has hundreds of iterations in a pause, and one or two in a turn without. */
async function isPausing(): Promise<boolean> {
  let iterations = 0
  let counting = setImmediate(function count() {
    iterations++
    counting = setImmediate(count)
  })
  const turns = new EventLoopTurns()
  for (let n = 0; n < 3; n++) {
    const end = performance.now() + 6
    while (performance.now() < end);
    await turns.yieldIfDue()
  }
  clearImmediate(counting)
  return iterations > 20
}

test('work in turns pauses while a client sends its body, and no longer when the client disconnects', async () => {
  const client = connect(port, '127.0.0.1')
  const head = `POST /api/v2/lists HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${basic(api.owner.key)}`
  client.write(`${head}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`)
  await waitFor(isPausing, { what: 'pauses' })
  client.destroy()
  await waitFor(async () => !(await isPausing()), { what: 'turns without pauses' })
})
