import { runRole } from '../../src/bin/role.ts'

// Replaces a role that fills its log, and prints lines that are no log lines.
await runRole('chatty', async ({ log }) => {
  for (let line = 0; line < 10_000; line++) {
    log.info({ line, filler: 'x'.repeat(300) }, 'numbered')
    if (line % 1_000 === 0) process.stderr.write(`printed \u001b[2J${line}\n`)
  }
  return {
    async stop() {
      console.error('printed to a closed pipe')
      log.info('stopped after the supervisor')
    },
  }
})
