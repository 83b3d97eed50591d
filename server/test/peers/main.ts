// npm run test:peers: SMPP software that we did not write, at the other end of the wire. Debian's packages are installed
// where they are missing and that is possible; else their checks are skipped with a reason.

import { Checks } from './checks.ts'
import { checkDissector } from './dissector.ts'
import { checkKannel } from './kannel.ts'
import { checkPerlClient, checkPerlServer } from './net-smpp.ts'
import { install } from './programs.ts'

type Peer = { name: string; packages: Record<string, string>; run: ((checks: Checks) => Promise<void>)[] }

const peers: Peer[] = [
  { name: 'Kannel', packages: { kannel: 'bearerbox' }, run: [checkKannel] },
  {
    name: 'Net::SMPP',
    packages: { perl: 'perl', 'libnet-smpp-perl': 'perl Net::SMPP' },
    run: [checkPerlClient, checkPerlServer],
  },
  { name: 'Wireshark', packages: { tshark: 'tshark' }, run: [checkDissector] },
]

const checks = new Checks()
for (const { name, packages, run } of peers) {
  console.log(`\n${name}`)
  const why = install(packages)
  if (why) checks.skip(name, why)
  else for (const check of run) await check(checks)
}
process.exitCode = checks.sum() ? 0 : 1
