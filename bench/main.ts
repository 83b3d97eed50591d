// `npm run bench -- <name> [options]`: runs one bench, a file that exports a function `run`.

const benches: Record<string, { description: string; load: () => Promise<{ run(): Promise<unknown> }> }> = {
  broadcast: {
    description:
      'import a list and send it a broadcast with the whole product (--recipients --broadcasts --binds --window --profile --keep --kannel)',
    load: () => import('./broadcast.ts'),
  },
  rtt: {
    description:
      'use of the window at a carrier with a long round trip (--ms --window 10,100 --binds 1,2 --seconds --runs)',
    load: () => import('./rtt.ts'),
  },
  mixed: {
    description:
      'transactional messages during a broadcast, from POST to submit_sm (--recipients --rate --seconds --mps none,1000)',
    load: () => import('./mixed.ts'),
  },
  cap: {
    description:
      'whether a cap is respected and fully used, by one gateway and by several (--mps 100,1000 --gateways 1,3 --seconds)',
    load: () => import('./cap.ts'),
  },
  api: {
    description:
      'requests per second of one api process with a large list (--rows --max-rows --seconds --runs --connections)',
    load: () => import('./api.ts'),
  },
  imports: {
    description: 'speed of an import, by stage (--rows)',
    load: () => import('./imports.ts'),
  },
  pages: {
    description:
      'response time of a late page of a large list, during its import, after it, and during adds (--rows --adds --dense)',
    load: () => import('./pages.ts'),
  },
  strangers: {
    description:
      'a caller beside thousands of sockets without a key, and the memory of the api (--sockets 700,5000 --kinds --seconds --rounds)',
    load: () => import('./strangers.ts'),
  },
  webhooks: {
    description:
      'deliveries over TLS to a fast receiver, alone and beside slow, failing and silent ones (--events --adds --seconds --rounds --profile)',
    load: () => import('./webhooks.ts'),
  },
  momt: {
    description: 'speed and memory of reports of the message log, next to a bare COPY (--rows --days)',
    load: () => import('./momt.ts'),
  },
  links: {
    description:
      "redirects of short URLs, next to Fastify's minimal route (--rate --recipients --seconds --rounds --connections)",
    load: () => import('./links.ts'),
  },
  reports: {
    description:
      'texts per second alone and beside two reports of the message log (--recipients --rows --rounds --binds --window)',
    load: () => import('./reports.ts'),
  },
  smpp: { description: 'our SMPP codec and session, compared with npm smpp', load: () => import('./smpp.ts') },
  simulator: { description: 'limit of the simulator', load: () => import('./simulator.ts') },
}

const name = process.argv[2] ?? ''
const bench = benches[name]
if (bench) {
  const { run } = await bench.load()
  const result = await run()
  if (name === 'simulator') {
    console.table(result)
    console.log(JSON.stringify({ bench: name, ...(result as object) }))
  }
  process.exit()
}
if (name) console.error(`There is no bench ${name}.`)
console.log(`npm run bench -- <name> [options]\n`)
for (const [each, { description }] of Object.entries(benches)) console.log(`  ${each.padEnd(10)} ${description}`)
process.exit(name ? 1 : 0)
