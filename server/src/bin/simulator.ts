import { startSimulator } from '../simulator/simulator.ts'
import { runProcess } from './role.ts'

// The carrier in a box never touches the database.
await runProcess('simulator', async (given) => {
  const { smppPort, controlPort, stop } = await startSimulator(given)
  return { ready: { smppPort, controlPort }, stop }
})
