import type { Db } from './db.ts'

/**
 * For the rest of the transaction, statements find their rows by key and are planned for what they are given. A plan that
 * was kept from an empty day, or an empty list, would read the full one from end to end.
 */
export async function findByKeys(tx: Db): Promise<void> {
  await tx.one(
    'find_by_keys',
    /* sql */ `
    select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
           set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
           set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)`,
  )
}
