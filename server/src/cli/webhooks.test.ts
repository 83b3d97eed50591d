import { expect, test } from 'vitest'
import { useCli } from '../../test/cli.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'
import { runCli } from './cli.ts'

const cli = useCli()
const startedAt = new Date('2031-05-06T09:00:00Z')

/** Runs `webhooks tail` with these arguments until `stop`. */
function startTail(...args: string[]) {
  const lines: string[] = []
  const stopped = new AbortController()
  const ended = runCli({
    args: ['webhooks', 'tail', ...args],
    env: { DATABASE_URL: cli.database.url },
    cwd: cli.folder,
    print: (line) => lines.push(line),
    onStop: () => stopped.signal,
  })
  ended.catch(() => {})
  return {
    lines,
    /** Inserts attempts until the command has printed one, so that it follows all later ones. */
    async following(webhookId: number) {
      await waitFor(async () => {
        await make.deliveryAttempt(cli.database.db, { webhookId, startedAt, outcome: 'dead' })
        return lines.length > 0
      })
    },
    async stop() {
      stopped.abort()
      return await ended
    },
  }
}

async function newWebhook() {
  const list = await make.list(cli.database.db)
  const webhook = await make.webhook(cli.database.db, { listId: list.id })
  return { accountId: list.accountId, webhookId: webhook.id }
}

test('attempts are followed as they are made, each once, also those that commit late', async () => {
  const { db } = cli.database
  const { accountId, webhookId } = await newWebhook()
  await make.deliveryAttempt(db, { webhookId, startedAt, type: 'cleaned' })
  const tail = startTail()
  await tail.following(webhookId)
  await db.tx(async (tx) => {
    await make.deliveryAttempt(tx, { webhookId, startedAt, position: 71 })
    await make.deliveryAttempt(db, { webhookId, startedAt, position: 72 })
    await waitFor(() => tail.lines.some((line) => line.includes('event 72')))
  })
  await waitFor(() => tail.lines.some((line) => line.includes('event 71')))
  await make.deliveryAttempt(db, { webhookId, startedAt, position: 73 })
  await waitFor(() => tail.lines.some((line) => line.includes('event 73')))
  expect(await tail.stop()).toBe('')
  const positions = tail.lines.map((line) => /event (\d+)/.exec(line)?.[1]).filter((position) => position !== '1')
  expect(positions).toEqual(['72', '71', '73'])
  expect(tail.lines.at(-1)?.replace(/ +/g, ' ')).toBe(
    `2031-05-06T09:00:00.000Z delivered 200 12 ms attempt 1 subscribe event 73 account ${accountId} ` +
      `webhook ${webhookId} https://hooks.cedar.example/`,
  )
  expect(tail.lines.join()).not.toMatch(/2065550143|cleaned/)
})

test('filters select an account, a webhook and failures, and a URL cannot write to the terminal', async () => {
  const { db } = cli.database
  const own = await newWebhook()
  const other = await newWebhook()
  const tail = startTail('--account', String(own.accountId), '--webhook', String(own.webhookId), '--failed', '--json')
  await tail.following(own.webhookId)
  await make.deliveryAttempt(db, { webhookId: other.webhookId, startedAt, outcome: 'dead', position: 81 })
  await make.deliveryAttempt(db, { webhookId: own.webhookId, startedAt, outcome: 'delivered', position: 82 })
  const id = await db.tx(async (tx) => {
    const attempt = await make.deliveryAttempt(tx, {
      webhookId: own.webhookId,
      startedAt,
      outcome: 'failed',
      position: 83,
    })
    await tx.exec('hostile_url', 'update delivery_attempts set url = $1', ['https://a.example/\u001b[2J\u009b\u202e'])
    return attempt.id
  })
  await waitFor(() => tail.lines.some((line) => line.includes('"position":83')))
  await tail.stop()
  expect(tail.lines.join()).not.toMatch(/"position":8[12]/)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none of these must be printed
  expect(tail.lines.join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/)
  expect(JSON.parse(tail.lines.at(-1) ?? '')).toMatchObject({ id, outcome: 'failed', webhook_id: own.webhookId })
})

test('ends after --seconds, and rejects what it cannot follow', async () => {
  const { accountId } = await newWebhook()
  expect(await cli.run('webhooks tail --seconds 1')).toBe('')
  await expect(cli.run('webhooks tail --webhook 1')).rejects.toThrow('--webhook requires --account')
  await expect(cli.run(`webhooks tail --account ${accountId} --webhook 99999`)).rejects.toThrow('has no webhook 99999')
  await expect(cli.run('webhooks tail --seconds soon')).rejects.toThrow('--seconds must be a number')
  await expect(cli.run('webhooks tail --account nobody@cedar.example')).rejects.toThrow('There is no account')
})
