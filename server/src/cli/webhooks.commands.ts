import { OperatorError } from '../errors.ts'
import { findEndpointId, type NewAttempt, type TailFilter } from '../webhooks/delivery-log/attempts.queries.ts'
import { followAttempts } from '../webhooks/delivery-log/tail.ts'
import { resolveAccount, textOf } from './arguments.ts'
import { type CliCommand, type CommandContext, UsageError } from './command.ts'

/** Maximum length of a URL in the output. */
const maxUrlLength = 120

const tail: CliCommand = {
  name: 'webhooks tail',
  summary: 'Follow the attempts to deliver events to webhooks as they are made',
  options: {
    account: { value: 'id or email', help: 'Show the attempts of this account only' },
    webhook: { value: 'id', help: 'Show the attempts of this webhook only; with --account' },
    failed: { help: 'Show failures only' },
    seconds: { value: 'n', help: 'End after this time; without it, Ctrl-C ends' },
  },
  notes: ['A line has no phone, no payload and no query of a URL; GET /webhook_attempts has them, except the query.'],
  async run(context) {
    const filter = await readFilter(context)
    const stopped = context.untilStopped(readSeconds(textOf(context, 'seconds')))
    const format = context.options.json ? (attempt: NewAttempt) => JSON.stringify(present(attempt)) : lineOf
    for await (const attempt of followAttempts(context.db, filter, stopped)) context.print(format(attempt))
    return { lines: [], json: undefined }
  },
}

async function readFilter(context: CommandContext): Promise<TailFilter> {
  const account = textOf(context, 'account') ? await resolveAccount(context) : undefined
  const webhook = textOf(context, 'webhook')
  const failedOnly = context.options.failed === true
  if (webhook === undefined) return { accountId: account?.id ?? null, endpointId: null, failedOnly }
  if (!account) throw new UsageError('--webhook requires --account')
  if (!/^[1-9]\d{0,14}$/.test(webhook)) throw new UsageError(`Not the id of a webhook: ${webhook}`)
  const endpointId = await findEndpointId(context.db, account.id, Number(webhook))
  if (endpointId === undefined) throw new OperatorError(`The account has no webhook ${webhook}.`)
  return { accountId: account.id, endpointId, failedOnly }
}

function readSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new UsageError(`--seconds must be a number from 1 to 99999, not ${text}`)
  return Number(text)
}

function lineOf(attempt: NewAttempt): string {
  const { startedAt, outcome, status, error, durationMs, accountId, webhookId, type, position, isTest, url } = attempt
  return [
    startedAt.toISOString(),
    outcome.padEnd(9),
    String(status ?? error ?? '').padEnd(11),
    `${durationMs} ms`.padStart(8),
    `attempt ${attempt.attempt}`.padEnd(10),
    isTest ? `${type} (test)` : type,
    `event ${position}`,
    `account ${accountId}`,
    webhookId === null ? 'callback' : `webhook ${webhookId}`,
    (url ?? '').slice(0, maxUrlLength),
  ].join('  ')
}

const present = (attempt: NewAttempt) => ({
  id: attempt.id,
  account_id: attempt.accountId,
  webhook_id: attempt.webhookId,
  position: attempt.position,
  type: attempt.type,
  is_test: attempt.isTest,
  attempt: attempt.attempt,
  outcome: attempt.outcome,
  started_at: attempt.startedAt,
  duration_ms: attempt.durationMs,
  url: attempt.url,
  status: attempt.status,
  error: attempt.error,
})

export const webhookCommands: CliCommand[] = [tail]
