import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { listSql } from '../../test/sql-source.ts'

// Product times come from `runtime.clock`, as a parameter, so that all statements of a request have the same time and tests
// can set it. The database's clock is for leases and locks, which gateways on several machines compare, and for bookkeeping.

const databaseClock =
  /\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday) ?\(\)|\b(?:current_(?:date|time|timestamp)|localtime(?:stamp)?)\b/

const lease = "a lease, which all processes compare with the database's clock"
const lock = 'checks whether a lease has expired'
const liveness = 'heartbeats, which are compared with one clock'

/** Statement (file and name) and the reason why it reads the database's clock. */
const allowed: Record<string, string> = {
  'connections/bind-slots.queries.ts sync_slots': lock,
  'connections/alarms.queries.ts list_alarms': 'compares the lease times of bind slots',
  'connections/bind-slots.queries.ts renew_slots': `${lease}; changed_at belongs to it`,
  'connections/bind-slots.queries.ts claim_slots': `${lease}; also compares heartbeats`,
  'connections/bind-slots.queries.ts release_slots': `${lease}; changed_at belongs to it`,
  'connections/connections.queries.ts find_uses_of_connection': lock,
  'connections/connections.queries.ts list_bind_slots': lock,
  'db/lost-servers.ts query_timeout': 'the age of a backend, which is compared with the age of the socket',
  'db/unfinished-restore.ts createListOfMigrations': 'schema_migrations.applied_at: bookkeeping, read by people only',
  'events/events.queries.ts leave_out_test_positions': 'a number that is larger in each restore, not a time',
  'events/events.queries.ts leave_out_positions': 'a number that is larger in each restore, not a time',
  'gateway/caps/shares.queries.ts renew_shares': lease,
  'gateway/caps/shares.queries.ts join_shares': lease,
  'gateway/caps/shares.queries.ts delete_expired_shares': lock,
  'gateway/caps/shares.queries.ts release_shares': lease,
  'http/idempotency.queries.ts claim_idempotency_key': lease,
  'http/idempotency.queries.ts renew_idempotency_key': lease,
  'jobs/boss.ts find_waiting_job': "pg-boss's own column start_after",
  'log/cancel.queries.ts has_submitting_texts': lock,
  'log/claims.queries.ts isFree': lock,
  'log/claims.queries.ts search': lease,
  'log/leases.queries.ts renew_leases': lease,
  'log/leases.queries.ts rows': 'send_chunks.done_at: bookkeeping; statements read only whether it is null',
  'log/opt-out.queries.ts count_submitting': lock,
  'log/reopen.queries.ts claim_closed_chunks': lock,
  'receipts/status-queries.queries.ts claim_query_round': lease,
  'receipts/waiting.queries.ts insert_receipts': 'retry_at: the retries of a queue that all gateways work on',
  'receipts/waiting.queries.ts claim_waiting_receipts': 'retry_at: the retries of a queue that all gateways work on',
  'reports/archive/archives.queries.ts lease_log_archive': lease,
  'reports/archive/archives.queries.ts renew_log_archive': lease,
  'reports/explanation.queries.ts find_explained_chunk': lock,
  'reports/momt-reports.queries.ts insert_momt_report': 'settles_at is compared with the beginning of transactions',
  'reports/queue.queries.ts measure_binds': lock,
  'system/heartbeats.queries.ts upsert_heartbeat': liveness,
  'system/heartbeats.queries.ts list_live_roles': liveness,
  'system/heartbeats.queries.ts list_metrics': liveness,
  'system/heartbeats.queries.ts delete_old_heartbeats': liveness,
}

const found = listSql()
  .filter(({ text }) => databaseClock.test(text.replaceAll(/--.*/g, '')))
  .map(({ file, name }) => `${file} ${name}`)

test('only leases, locks and bookkeeping read the clock of the database', () => {
  expect(found.filter((statement) => !(statement in allowed))).toEqual([])
})

test('every allowed statement exists', () => {
  expect(Object.keys(allowed).filter((statement) => !found.includes(statement))).toEqual([])
})

const migrations = fileURLToPath(new URL('../../migrations/', import.meta.url))

/** Columns that may have the database's clock as their default, and the reason. */
const allowedDefaults: Record<string, string> = {
  'installation.created_at': 'bookkeeping, read by people only',
  'bind_slots.changed_at': 'belongs to the lease of the slot',
}

test('columns of product times have no default', () => {
  const columns = globSync('*.sql', { cwd: migrations }).flatMap((file) => {
    let table = ''
    return readFileSync(`${migrations}${file}`, 'utf8')
      .split('\n')
      .flatMap((line) => {
        table = /^(?:create (?:unlogged )?table|alter table) (\w+)/.exec(line)?.[1] ?? table
        if (!databaseClock.test(line.replace(/--.*/, ''))) return []
        return [`${table}.${/^\s*(?:add column )?(\w+)/.exec(line)?.[1]}`]
      })
  })
  expect(columns.filter((column) => !(column in allowedDefaults))).toEqual([])
})
