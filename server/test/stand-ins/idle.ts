import { runRole } from '../../src/bin/role.ts'

// Replaces a role that is ready and has nothing to do.
await runRole('idle', async () => ({ stop: async () => {} }))
