import type pg from 'pg'
import { identify, signal } from '../../src/supervisor/processes.ts'
import { waitFor } from '../wait-for.ts'
import type { Installation } from './installation.ts'

/** A second gateway: its pid and id, and the id of the supervisor's gateway. */
export type SecondGateway = { pid: number; id: string; firstId: string }

/** Starts a second gateway and waits until it has a share of the binds. */
export async function startSecondGateway(installation: Installation): Promise<SecondGateway> {
  const [firstId] = await waitFor(async () => singleElement(await boundGateways(installation)), {
    timeoutMs: 10_000,
    what: 'the first gateway to bind',
  })
  const pid = installation.startSecond('gateway')
  const [id] = await waitFor(
    async () => singleElement((await boundGateways(installation)).filter((gateway) => gateway !== firstId)),
    { timeoutMs: 10_000, what: 'the second gateway to bind' },
  )
  return { pid, id, firstId }
}

const singleElement = (ids: string[]) => (ids.length === 1 ? (ids as [string]) : undefined)

export async function stopSecondGateway({ pid }: SecondGateway): Promise<void> {
  signal(pid, 'SIGTERM')
  await waitFor(() => !isAlive(pid), { timeoutMs: 10_000, what: 'the second gateway to stop in order' })
}

/**
 * Freezes a gateway in the middle of a chunk until the other one takes the chunk over; the thawed gateway must notice that.
 */
export async function freezeBusyGateway(
  installation: Installation,
  second: SecondGateway,
  injected: () => void,
): Promise<void> {
  const pids = new Map([
    [second.firstId, installation.pid('gateway')],
    [second.id, second.pid],
  ])
  const { id, pid, chunks } = await waitFor(() => freezeInChunk(installation, pids), {
    timeoutMs: 10_000,
    what: 'a gateway in the middle of a chunk',
  })
  injected()
  const log = id === second.id ? 'second gateway' : 'gateway'
  const noticed = () => installation.log(log).split('lost a chunk to another gateway').length
  const noticedBefore = noticed()
  try {
    await waitFor(() => isTakenOver(installation, chunks, id), {
      timeoutMs: installation.options.leaseMs + 5_000,
      what: 'the other gateway to take over the chunks',
    })
  } finally {
    signal(pid, 'SIGCONT') // the other gateway is sending its texts now
  }
  await waitFor(() => noticed() > noticedBefore, {
    timeoutMs: 10_000,
    what: 'the thawed gateway to notice that it lost its chunks',
  })
}

/** Freezes one of these gateways if it is in the middle of a chunk; otherwise returns undefined, and all of them run. */
async function freezeInChunk(installation: Installation, pids: ReadonlyMap<string, number>) {
  for (const [id, pid] of pids) {
    if ((await chunksInProgress(installation, id)).length === 0) continue
    signal(pid, 'SIGSTOP')
    const chunks = await chunksInProgress(installation, id)
    if (chunks.length > 0) return { id, pid, chunks }
    signal(pid, 'SIGCONT')
  }
  return undefined
}

/**
 * Returns the ids of the chunks that this gateway has loaded and that have more queued texts than two windows: marks that are
 * running cannot finish these chunks, so the gateway misses them after its lease.
 */
async function chunksInProgress(installation: Installation, gateway: string): Promise<string[]> {
  const { binds, window } = installation.options
  const rows = await query<{ id: string }>(
    installation,
    `select c.id
       from send_chunks c
       join message_log l on l.logged_on = c.logged_on and l.id between c.first_log_id and c.last_log_id
      where c.done_at is null and c.leased_by = '${gateway}'
      group by c.id
     having count(*) filter (where l.state = 'queued') > ${2 * binds * window}
        and count(*) filter (where l.submitted_at is not null) > 0`,
  )
  return rows.map(({ id }) => id)
}

const isAlive = (pid: number) => identify(pid) !== undefined

/** Returns the ids of the gateways that have a bind. */
async function boundGateways(installation: Installation): Promise<string[]> {
  const rows = await query<{ id: string }>(
    installation,
    'select distinct leased_by as id from bind_slots where bound and lease_until > clock_timestamp()',
  )
  return rows.map(({ id }) => id)
}

/** Returns the ids of the chunks that this gateway has leased and not finished. */
export async function chunksOf(installation: Installation, gateway: string): Promise<string[]> {
  const sql = `select id from send_chunks where done_at is null and leased_by = '${gateway}'`
  return (await query<{ id: string }>(installation, sql)).map(({ id }) => id)
}

/** Returns whether another gateway has leased one of these chunks. */
async function isTakenOver(installation: Installation, chunks: string[], former: string): Promise<boolean> {
  const sql = `select from send_chunks where id in (${chunks.join(', ')}) and leased_by <> '${former}'`
  return (await query(installation, sql)).length > 0
}

async function query<T extends pg.QueryResultRow>(installation: Installation, sql: string): Promise<T[]> {
  const client = await installation.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}
