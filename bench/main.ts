// `npm run bench -- <name> [options]`: each bench is a file of its own with a function `run`.

const benches: Record<string, { what: string; load: () => Promise<{ run(): Promise<unknown> }> }> = {
  broadcast: {
    what: 'import a list and text it: the whole product (--recipients --broadcasts --binds --window --profile --keep --kannel)',
    load: () => import('./broadcast.ts'),
  },
  rtt: {
    what: 'how much of the window a distant carrier gets (--ms --window 10,100 --binds 1,2 --seconds --runs)',
    load: () => import('./rtt.ts'),
  },
  mixed: {
    what: 'texts to one person beside a broadcast, from POST to submit_sm (--recipients --rate --seconds --mps none,1000)',
    load: () => import('./mixed.ts'),
  },
  cap: {
    what: 'whether a cap is kept and used, by one gateway and by several (--mps 100,1000 --gateways 1,3 --seconds)',
    load: () => import('./cap.ts'),
  },
  api: {
    what: 'what one api process answers beside a large list (--rows --most --seconds --runs --connections)',
    load: () => import('./api.ts'),
  },
  imports: {
    what: 'how fast a list comes in, stage by stage (--rows)',
    load: () => import('./imports.ts'),
  },
  pages: {
    what: 'a page deep inside a large list, while it is imported, after, and beside adds (--rows --adds --dense)',
    load: () => import('./pages.ts'),
  },
  smpp: { what: 'our SMPP codec and session beside npm smpp', load: () => import('./smpp.ts') },
  simulator: { what: 'how much the simulator takes', load: () => import('./simulator.ts') },
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
for (const [each, { what }] of Object.entries(benches)) console.log(`  ${each.padEnd(10)} ${what}`)
process.exit(name ? 1 : 0)
