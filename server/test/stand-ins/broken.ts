import { runProcess } from '../../src/bin/role.ts'

// Stands in for a role that cannot start.
await runProcess('broken', async () => {
  throw new Error('the cupboard is bare')
})
