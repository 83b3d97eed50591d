import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import type { Installation } from '../installation.ts'

// A limit on the file size simulates a full disk: the kernel rejects writes beyond it.

/** Limits the file size for these processes and their children; the returned function removes the limit. */
export function limitFiles(pids: readonly number[], mebibytes: number): () => void {
  const limited = new Set(pids)
  for (const pid of limited) setLimit(pid, String(mebibytes * 1024 * 1024))
  return () => {
    // processes that were started during the limit inherited it
    for (const pid of [...limited, ...descendantsOf(limited)]) setLimit(pid, 'unlimited')
  }
}

/** Changes the soft limit, which the owner of the process may change; the hard limit would require a privilege. */
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

function descendantsOf(ancestors: ReadonlySet<number>): number[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const parents = new Map(rows.map((row) => row.trim().split(/\s+/).map(Number) as [number, number]))
  return [...parents.keys()].filter((pid) => {
    for (let parent = parents.get(pid); parent; parent = parents.get(parent)) if (ancestors.has(parent)) return true
    return false
  })
}

/** Fills today's table of SMSC ids so that its next row requires a file larger than `mebibytes`. */
export async function fillSubmitsTable(installation: Installation, mebibytes: number): Promise<void> {
  const client = await installation.connect()
  // the rows belong to a connection and to texts that do not exist
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
    // the smallest possible rows fill the remaining space on those pages, until they need a new page as well
    for (const pagesBefore = await pages(); (await pages()) < pagesBefore + 2; ) await add("''", 2_000)
  } finally {
    await client.end()
  }
}
