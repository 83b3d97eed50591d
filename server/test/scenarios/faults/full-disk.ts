import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import type { Installation } from '../installation.ts'

// A limit on the file size simulates a full disk: the kernel rejects writes beyond it.

/** Limits the file size for these processes and their children; the returned function removes the limit. */
export function limitFiles(pids: readonly number[], mebibytes: number): () => void {
  const limited = new Set(pids)
  for (const pid of limited) setLimit(pid, String(mebibytes * 1024 * 1024))
  return () => {
    // processes that were started meanwhile inherited it
    for (const pid of [...limited, ...heirsOf(limited)]) setLimit(pid, 'unlimited')
  }
}

/** Only the hard limit would need a privilege; the soft one can be changed by the same account. */
function setLimit(pid: number, octets: string): void {
  const owner = statSync(`/proc/${pid}`, { throwIfNoEntry: false })
  if (!owner) return
  const { uid, gid } = owner
  try {
    execFileSync('prlimit', ['--pid', String(pid), `--fsize=${octets}:`], { uid, gid, stdio: 'pipe' })
  } catch (error) {
    if (existsSync(`/proc/${pid}`)) throw error
  }
}

function heirsOf(ancestors: ReadonlySet<number>): number[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const parents = new Map(rows.map((row) => row.trim().split(/\s+/).map(Number) as [number, number]))
  return [...parents.keys()].filter((pid) => {
    for (let parent = parents.get(pid); parent; parent = parents.get(parent)) if (ancestors.has(parent)) return true
    return false
  })
}

/** Fills today's table of SMSC ids so that its next row needs a larger file than that. */
export async function padSubmits(installation: Installation, mebibytes: number): Promise<void> {
  const client = await installation.connect()
  // rows of a connection and of texts that there are not
  const add = (id: string, rows: number) =>
    client.query(`
      insert into submits (connection_id, smsc_id, log_id, part, logged_on)
      select -1, ${id}, -n, 0, (now() at time zone 'UTC')::date from generate_series(1, ${rows}) n`)
  const pages = async () => {
    const size = `select pg_relation_size('submits_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')) / 8192 as pages`
    return Number((await client.query<{ pages: string }>(size)).rows[0]?.pages)
  }
  try {
    await add(`n || repeat('x', 1100)`, mebibytes * 128 * 7)
    // what is left on those pages is filled with the smallest rows there are, until they need a new page as well
    for (const before = await pages(); (await pages()) < before + 2; ) await add("''", 2_000)
  } finally {
    await client.end()
  }
}
