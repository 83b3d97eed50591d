import { runProcess } from '../../src/bin/role.ts'

// Replaces a role that cannot start.
await runProcess('broken', async () => {
  throw new Error('this role always fails')
})
