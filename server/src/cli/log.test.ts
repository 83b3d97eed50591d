import { expect, test } from 'vitest'
import { useCli } from '../../test/cli.ts'

const cli = useCli()
let statements = 0
const change = (sql: string, values: unknown[] = []) =>
  cli.database.db.exec(`change_log_days_${++statements}`, sql, values)

test('log days lists kept and removed days, and log retry makes failed archives due', async () => {
  expect(await cli.run('log days')).toBe('DAY  STATE  ROWS  FILES  SIZE  FAILURES  ERROR')
  await change(`select ensure_log_day(day::date) from unnest('{2026-03-02,2026-03-03,2099-01-01}'::text[]) as day`)
  await change(
    `insert into log_archives (day, state, failures, error, due_at, started_at, dropped_at)
     values ('2026-03-01', 'dropped', 0, null, '2026-06-01', '2026-06-01', '2026-06-02'),
            ('2026-03-02', 'archiving', 2, 'the disk of the files is full (ENOSPC)', '2099-06-01', '2026-06-01', null)`,
  )
  await change(
    `with account as (insert into accounts (email, username, created_at) values ('a@cedar.example', 'a', now()) returning id)
     insert into log_archive_files (day, account_id, file_number, folder, name, bytes, sha256, row_count, row_hash, states, row_groups)
     select '2026-03-01', id, n, 'message_log/2026-03-01/1-' || n, 'file-1', 700, 'abc', 20, 5, '{"delivered": 20}', '[]'
       from account, generate_series(1, 2) n`,
  )
  expect(await cli.run('log days')).toBe(
    [
      'DAY         STATE            ROWS  FILES  SIZE  FAILURES  ERROR',
      '2026-03-01  dropped          40    2      1400',
      '2026-03-02  kept, archiving                     2         the disk of the files is full (ENOSPC)',
      '2026-03-03  kept',
    ].join('\n'),
  )
  const { days } = await cli.json('log days')
  expect(days[0]).toMatchObject({
    day: '2026-03-01',
    is_kept: false,
    archive: 'dropped',
    rows: 40,
    files: 2,
    bytes: 1400,
  })
  expect(await cli.json('log retry')).toEqual({ retried: 1 })
  expect(await cli.run('log retry')).toBe('Days that are retried: 0.')
})
