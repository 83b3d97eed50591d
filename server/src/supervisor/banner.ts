/** What a first broadcast needs to know. */
export type SandboxAccount = { email: string; apiKey: string | undefined; listId: number; shortCode: string }

export type BannerFacts = {
  mode: 'sandbox' | 'production'
  url: string
  dataDir: string
  /** Where the database is, if that is not in the data directory, and why. */
  databaseNote: string | undefined
  account: SandboxAccount | undefined
}

/** The short block that a start ends with. */
export function renderBanner({ mode, url, dataDir, databaseNote, account }: BannerFacts): string {
  const rows: [string, string][] = [
    ['Console', `${url}/`],
    ['Reference', `${url}/docs`],
    ...(account ? loginRows(account) : []),
    ['Data', dataDir],
    ...(databaseNote ? [['Database', databaseNote] as [string, string]] : []),
  ]
  const what =
    mode === 'sandbox'
      ? 'Carillon runs in sandbox mode: every text goes to the built-in simulator, none to a phone.'
      : 'Carillon runs in production mode: texts go to phones.'
  return [
    '',
    what,
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(10)} ${value}`),
    '',
    ...(account?.apiKey ? [firstBroadcast(url, account, account.apiKey), ''] : []),
    'Stop with Ctrl-C.',
    '',
  ].join('\n')
}

function loginRows({ email, apiKey }: SandboxAccount): [string, string][] {
  return [
    ['Login', email],
    ['API key', apiKey ?? 'made on another data directory, which alone can show it'],
  ]
}

function firstBroadcast(url: string, { email, listId }: SandboxAccount, apiKey: string): string {
  return `Send a first broadcast:

  curl -u '${email}:${apiKey}' \\
    -H 'Content-Type: application/json' \\
    -d '{"message":{"content":"Hello from Carillon"}}' \\
    ${url}/api/v2/lists/${listId}/messages`
}
