import type { Db } from './db.ts'

/**
 * Makes PostgreSQL use indexes for the rest of the transaction, with plans for the actual parameters: a plan that was cached
 * while a day or a list was empty would scan the whole table.
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
