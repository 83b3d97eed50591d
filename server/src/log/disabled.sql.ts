// No text of a disabled account is sent except replies to STOP and HELP, which carriers require. A claim skips the short
// codes of disabled accounts, and a mark reads its account: chunks that were leased before, or that are leased while the
// account is being disabled, stay queued.

/** An SQL array of the ids of the short codes of disabled accounts, which a statement computes once. */
export const disabledCodes = /* sql */ `(select array(
               select s.id from accounts a cross join lateral (
                 select id from short_codes where account_id = a.id offset 0) s
                where a.disabled_at is not null))`

/** Returns the SQL condition under which the account with this id is disabled. A scalar look-up has one plan: by key. */
export const isDisabled = (accountId: string) =>
  /* sql */ `(select disabled_at is not null from accounts where id = ${accountId} offset 0)`

/** The SQL condition under which a row of `send_chunks` is sent although its account is disabled. */
export const isReply = /* sql */ `(lane = 0 and (select consent from messages where id = message_id offset 0) = 'reply')`
